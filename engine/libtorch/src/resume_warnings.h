// What a resume will lack, told when saving.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/value.h"

namespace torch {
namespace nn {
class Module;
}
}  // namespace torch

namespace ckp::libtorch {

// `name`: of the model's part; `kinds`: Part::kind() of every part of the state. Only a state that
// trains, one with an optimizer, is judged.
std::vector<std::string> resume_warnings(const std::string& name, const torch::nn::Module& model,
                                         const std::set<std::string, std::less<>>& kinds);

// Of an optimizer's part, as it is saved: whether a learning rate has moved although the state has
// no scheduler.
std::optional<std::string> scheduler_warning(const std::string& name, const Value& optimizer);

}  // namespace ckp::libtorch

// What a resume will lack, told when saving.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

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

}  // namespace ckp::libtorch

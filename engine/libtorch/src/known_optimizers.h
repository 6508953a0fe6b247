// The kinds of the optimizers that LibTorch has.
#pragma once

#include <string>

#include "ckp/libtorch/optimizer_kind.h"

namespace ckp::libtorch {

// Error(unsupported), naming `part`, for an optimizer that is none of them.
const OptimizerKind& kind_of(const torch::optim::Optimizer& optimizer, const std::string& part);

}  // namespace ckp::libtorch

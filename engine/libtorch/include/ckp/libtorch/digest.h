// One number for all weights of a model: equal digests mean bit-identical models.
#pragma once

#include <string_view>

#include "ckp/digest.h"

namespace torch {
namespace nn {
class Module;
}
}  // namespace torch

namespace ckp::libtorch {

// XXH3-128 over all parameters and buffers, as ckp::state_digest (ckp/state_digest.h) computes it
// for a checkpoint that has the module as the part `part`: the digest of a live model can be
// compared with `ckptool digest`. Strides, devices and sharing make no difference.
Digest weights_digest(const torch::nn::Module& module, std::string_view part = "model");

}  // namespace ckp::libtorch

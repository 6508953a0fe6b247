// What belongs to a model's state besides its parameters and buffers.
#pragma once

namespace ckp::libtorch {

struct ModelOptions {
  // Which parameters are trained: a layer that was unfrozen on the way stays so after a resume.
  // Saved in any case; false leaves the program's setting when restoring.
  bool requires_grad = true;
  // train() or eval() of each module.
  bool training = false;
};

}  // namespace ckp::libtorch

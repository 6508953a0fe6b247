// The two operations behind GradScaler, on any device of any LibTorch.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace ckp::libtorch {

// Multiplies the gradients by `factor`, in place, and sets `found_inf` to 1 when one of them was
// not finite. All on one device and of one dtype.
void check_finite_and_scale(std::vector<at::Tensor>& gradients, at::Tensor& found_inf,
                            const at::Tensor& factor);

// The next scale and growth tracker, in place.
void update_scale(at::Tensor& scale, at::Tensor& growth_tracker, const at::Tensor& found_inf,
                  double growth_factor, double backoff_factor, std::int64_t growth_interval);

}  // namespace ckp::libtorch

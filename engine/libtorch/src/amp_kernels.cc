#include "amp_kernels.h"

#include <ATen/ATen.h>
#include <torch/version.h>

#include <cmath>

namespace ckp::libtorch {
namespace {

// LibTorch 1 has these for CUDA only.
bool has_kernels(const at::Tensor& tensor) {
  return TORCH_VERSION_MAJOR >= 2 || !tensor.device().is_cpu();
}

}  // namespace

void check_finite_and_scale(std::vector<at::Tensor>& gradients, at::Tensor& found_inf,
                            const at::Tensor& factor) {
  if (has_kernels(found_inf)) {
    at::_amp_foreach_non_finite_check_and_unscale_(gradients, found_inf, factor);
    return;
  }
  for (at::Tensor& gradient : gradients) {
    if (!at::isfinite(gradient).all().item<bool>()) found_inf.fill_(1);
    gradient.mul_(factor.item<float>());
  }
}

void update_scale(at::Tensor& scale, at::Tensor& growth_tracker, const at::Tensor& found_inf,
                  double growth_factor, double backoff_factor, std::int64_t growth_interval) {
  if (has_kernels(scale)) {
    at::_amp_update_scale_(scale, growth_tracker, found_inf, growth_factor, backoff_factor,
                           growth_interval);
    return;
  }
  const double old = scale.item<float>();
  int tracker = growth_tracker.item<int>() + 1;
  if (found_inf.item<float>() != 0) {
    scale.fill_(static_cast<float>(old * backoff_factor));
    tracker = 0;
  } else if (tracker == growth_interval) {
    const auto grown = static_cast<float>(old * growth_factor);
    if (std::isfinite(grown)) scale.fill_(grown);
    tracker = 0;
  }
  growth_tracker.fill_(tracker);
}

}  // namespace ckp::libtorch

#include "ckp/libtorch/grad_scaler.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/optim/optimizer.h>

#include <limits>
#include <utility>

#include "amp_kernels.h"
#include "ckp/error.h"

namespace ckp::libtorch {
namespace {

[[noreturn]] void out_of_order(const std::string& what) {
  throw Error(ErrorCode::invalid_argument, "GradScaler: " + what);
}

using DeviceAndType = std::pair<std::string, at::ScalarType>;

// The gradients' elements, by what one kernel call can take.
std::map<DeviceAndType, std::vector<at::Tensor>> gradients_of(torch::optim::Optimizer& optimizer) {
  std::map<DeviceAndType, std::vector<at::Tensor>> lists;
  for (auto& group : optimizer.param_groups()) {
    for (const at::Tensor& parameter : group.params()) {
      if (!parameter.grad().defined()) continue;
      at::Tensor grad = parameter.grad();
      if (grad.scalar_type() == at::kHalf) {
        out_of_order("the gradients are float16; keep the parameters in float32 and use Autocast");
      }
      if (grad.is_sparse()) grad = grad._values();
      lists[{grad.device().str(), grad.scalar_type()}].push_back(grad);
    }
  }
  return lists;
}

}  // namespace

GradScaler::GradScaler(const GradScalerOptions& options) : options_(options) {
  if (!options.enabled) return;
  if (options.growth_factor <= 1) {
    out_of_order(fmt::format("growth_factor is {}, must be above 1", options.growth_factor));
  }
  if (options.backoff_factor >= 1) {
    out_of_order(fmt::format("backoff_factor is {}, must be below 1", options.backoff_factor));
  }
}

void GradScaler::make_scale(const c10::Device& device) {
  if (scale_.defined()) return;
  scale_ = at::full({}, options_.init_scale, at::TensorOptions(device).dtype(at::kFloat));
  growth_tracker_ = at::full({}, initial_tracker_, at::TensorOptions(device).dtype(at::kInt));
}

void GradScaler::require_scale(const char* caller) const {
  if (!scale_.defined()) out_of_order(fmt::format("{}() before the first scale(loss)", caller));
}

at::Tensor GradScaler::scale(const at::Tensor& loss) {
  if (!options_.enabled) return loss;
  make_scale(loss.device());
  return loss * scale_.to(loss.device(), /*non_blocking=*/true);
}

void GradScaler::unscale_(torch::optim::Optimizer& optimizer) {
  if (!options_.enabled) return;
  require_scale("unscale_");
  OptimizerState& state = states_[&optimizer];
  if (state.stage == Stage::unscaled)
    out_of_order("unscale_() twice for an optimizer without update()");
  if (state.stage == Stage::stepped) out_of_order("unscale_() after step()");
  at::NoGradGuard no_grad;
  state.found_inf = at::zeros({}, scale_.options());
  // The reciprocal in double, as PyTorch does: float division differs between compilers.
  const at::Tensor inverse = scale_.to(at::kDouble).reciprocal().to(at::kFloat);
  for (auto& [kind, gradients] : gradients_of(optimizer)) {
    at::Tensor found = at::zeros({}, scale_.options().device(gradients[0].device()));
    check_finite_and_scale(gradients, found, inverse.to(found.device()));
    state.found_inf.add_(found.to(scale_.device()));
  }
  state.stage = Stage::unscaled;
}

bool GradScaler::step(torch::optim::Optimizer& optimizer) {
  if (!options_.enabled) {
    before_step_();
    optimizer.step();
    return true;
  }
  require_scale("step");
  OptimizerState& state = states_[&optimizer];
  if (state.stage == Stage::stepped) out_of_order("step() twice for an optimizer without update()");
  if (state.stage == Stage::ready) unscale_(optimizer);
  const bool finite = state.found_inf.item<float>() == 0;
  before_step_();
  if (finite) optimizer.step();
  state.stage = Stage::stepped;
  return finite;
}

at::Tensor GradScaler::found_inf() const {
  at::Tensor found;
  for (const auto& [optimizer, state] : states_) {
    if (!state.found_inf.defined()) continue;
    found = found.defined() ? found + state.found_inf : state.found_inf;
  }
  if (!found.defined()) out_of_order("update() without a step() or unscale_() before it");
  return found;
}

void GradScaler::update() {
  if (!options_.enabled) return;
  require_scale("update");
  update_scale(scale_, growth_tracker_, found_inf(), options_.growth_factor,
               options_.backoff_factor, options_.growth_interval);
  states_.clear();
}

void GradScaler::update(double new_scale) {
  if (!options_.enabled) return;
  require_scale("update");
  scale_.fill_(new_scale);
  states_.clear();
}

double GradScaler::get_scale() const {
  if (!options_.enabled) return 1;
  return scale_.defined() ? double{scale_.item<float>()} : options_.init_scale;
}

std::int64_t GradScaler::growth_tracker() const {
  return growth_tracker_.defined() ? growth_tracker_.item<int>() : initial_tracker_;
}

void GradScaler::save(PartWriter& out) const {
  if (!options_.enabled) {
    out.value("", Value::Map{});
    return;
  }
  out.value("scale", get_scale());
  out.value("growth_factor", options_.growth_factor);
  out.value("backoff_factor", options_.backoff_factor);
  out.value("growth_interval", options_.growth_interval);
  out.value("_growth_tracker", growth_tracker());
}

void GradScaler::check(PartReader& in) {
  if (!options_.enabled) return;
  if (in.value("").as_map().empty()) {
    in.mismatch(in.part() + ": on here, but saved from one that was off");
    return;
  }
  GradScalerOptions stored = options_;
  stored.init_scale = in.value("scale").as_double();
  stored.growth_factor = in.value("growth_factor").as_double();
  stored.backoff_factor = in.value("backoff_factor").as_double();
  stored.growth_interval = in.value("growth_interval").as_int();
  const std::int64_t tracker = in.value("_growth_tracker").as_int();
  if (tracker < 0 || tracker > std::numeric_limits<int>::max()) {
    in.mismatch(fmt::format("{}/_growth_tracker: {} is no count of steps", in.part(), tracker));
    return;
  }
  in.on_restore([this, stored, tracker] {
    options_ = stored;
    initial_tracker_ = tracker;
    scale_ = growth_tracker_ = at::Tensor();  // made anew on the device of the next loss
    states_.clear();
  });
}

}  // namespace ckp::libtorch

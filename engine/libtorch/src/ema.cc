#include "ckp/libtorch/ema.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/nn/module.h>

#include <map>

#include "ckp/error.h"
#include "ckp/libtorch/original_tensors.h"

namespace ckp::libtorch {
namespace {

[[noreturn]] void misuse(const std::string& what) {
  throw Error(ErrorCode::invalid_argument, "Ema: " + what);
}

// Every parameter once; a tied one under the least of its names.
std::map<std::string, at::Tensor> parameters_of(const torch::nn::Module& model) {
  std::map<std::string, at::Tensor> sorted, unique;
  for (const auto& item : model.named_parameters()) sorted.emplace(item.key(), item.value());
  std::map<const void*, std::string> seen;
  for (const auto& [name, tensor] : sorted) {
    if (seen.try_emplace(tensor.unsafeGetTensorImpl(), name).second) unique.emplace(name, tensor);
  }
  return unique;
}

}  // namespace

Ema::Ema(const torch::nn::Module& model, std::vector<double> decays,
         std::optional<c10::Device> device)
    : decays_(std::move(decays)) {
  if (decays_.empty()) misuse("there is no decay");
  for (double decay : decays_) {
    if (!(decay >= 0 && decay <= 1)) misuse(fmt::format("decay {} is not between 0 and 1", decay));
  }
  at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters_of(model)) {
    Average average{name, parameter, {}};
    for (std::size_t i = 0; i < decays_.size(); ++i) {
      at::Tensor copy = parameter.detach().clone();
      average.values.push_back(device ? copy.to(*device) : copy);
    }
    averages_.push_back(std::move(average));
  }
}

void Ema::update() {
  if (swapped_in_) misuse("update() while the averages are the model's weights");
  before_change_();
  at::NoGradGuard no_grad;
  for (Average& average : averages_) {
    for (std::size_t i = 0; i < decays_.size(); ++i) {
      at::Tensor& value = average.values[i];
      const at::Tensor parameter = average.parameter.detach().to(value.device());
      if (n_averaged_ == 0 || !at::isFloatingType(value.scalar_type())) {
        value.copy_(parameter);
      } else {
        value.lerp_(parameter, 1 - decays_[i]);
      }
    }
  }
  ++n_averaged_;
}

void Ema::exchange(std::size_t which) {
  before_change_();
  at::NoGradGuard no_grad;
  for (Average& average : averages_) {
    at::Tensor weights = average.parameter.detach();
    at::Tensor before = weights.clone();
    weights.copy_(average.values[which]);
    average.values[which].copy_(before);
  }
}

Ema::Weights::Weights(Ema& ema, std::size_t which) : ema_(ema) {
  if (which >= ema.decays_.size()) {
    misuse(fmt::format("there is no average {}; there are {}", which, ema.decays_.size()));
  }
  if (ema.swapped_in_) misuse("weights() while averages are the model's weights already");
  if (ema.n_averaged_ == 0) misuse("weights() before the first update()");
  ema.exchange(which);
  ema.swapped_in_ = which;
}

Ema::Weights::~Weights() {
  ema_.exchange(*ema_.swapped_in_);
  ema_.swapped_in_.reset();
}

std::string Ema::prefix(std::size_t which) const {
  return decays_.size() == 1 ? std::string() : fmt::format("{}/", decays_[which]);
}

void Ema::original_tensors(OriginalTensors& originals) const {
  if (!swapped_in_) return;
  for (const Average& average : averages_) {
    originals.add(average.parameter, average.values[*swapped_in_]);
  }
}

void Ema::save(PartWriter& out) const {
  out.value("n_averaged", n_averaged_);
  out.value("decays", Value::List(decays_.begin(), decays_.end()));
  out.only_steps_change_what_follows(true);  // update() and Weights wait for saves
  for (std::size_t i = 0; i < decays_.size(); ++i) {
    for (const Average& average : averages_) {
      // Swapped in, the average is in the parameter. detach() makes it another tensor than the one
      // that the model's weights are saved for.
      out.tensor(prefix(i) + average.name,
                 swapped_in_ == i ? average.parameter.detach() : average.values[i]);
    }
  }
}

void Ema::check(PartReader& in) {
  if (swapped_in_) {
    in.mismatch(in.part() +
                ": the averages are the model's weights now; restore after the scope "
                "of weights() has ended");
  }
  std::vector<double> decays;
  for (const Value& decay : in.value("decays").as_list()) decays.push_back(decay.as_double());
  const std::int64_t updates = in.value("n_averaged").as_int();
  if (decays.size() != decays_.size() || (decays.size() > 1 && decays != decays_)) {
    in.mismatch(fmt::format("{}: decays {} here, {} in the checkpoint", in.part(),
                            fmt::join(decays_, ", "), fmt::join(decays, ", ")));
    for (const std::string& name : in.names()) in.ignore(name);
    return;
  }
  for (std::size_t i = 0; i < decays_.size(); ++i) {
    for (const Average& average : averages_) {
      const std::string stored = prefix(i) + in.stored_name(average.name);
      if (in.selected(average.name)) {
        in.tensor(stored, average.values[i]);
      } else {
        in.ignore(stored);
      }
    }
  }
  in.on_restore([this, decays, updates] {
    decays_ = decays;
    n_averaged_ = updates;
  });
}

}  // namespace ckp::libtorch

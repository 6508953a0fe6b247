#include "ckp/libtorch/averaged_weights.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/module.h>

#include <map>
#include <set>

#include "ckp/error.h"
#include "ckp/libtorch/original_tensors.h"

namespace ckp::libtorch {
namespace {

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

bool has_averages(const at::Tensor& tensor) {
  return at::isFloatingType(tensor.scalar_type()) || at::isComplexType(tensor.scalar_type());
}

}  // namespace

AveragedWeights::AveragedWeights(const char* name, const torch::nn::Module& model,
                                 std::size_t averages, std::optional<c10::Device> device)
    : name_(name) {
  at::NoGradGuard no_grad;
  for (const auto& [parameter_name, parameter] : parameters_of(model)) {
    Average average{parameter_name, parameter, {}};
    for (std::size_t i = 0; i < averages; ++i) {
      at::Tensor copy = parameter.detach().clone();
      average.values.push_back(device ? copy.to(*device) : copy);
    }
    averages_.push_back(std::move(average));
  }
  std::set<const void*> seen;
  for (const at::Tensor& buffer : model.buffers()) {
    if (buffer.defined() && seen.insert(buffer.unsafeGetTensorImpl()).second) {
      buffers_.push_back(buffer);
    }
  }
}

void AveragedWeights::misuse(const std::string& what) const {
  throw Error(ErrorCode::invalid_argument, fmt::format("{}: {}", name_, what));
}

void AveragedWeights::require_own_weights(const char* call) const {
  if (swapped_in_) misuse(fmt::format("{} while averages are the model's weights", call));
}

void AveragedWeights::take_in() {
  before_change_();
  at::NoGradGuard no_grad;
  for (Average& average : averages_) {
    for (std::size_t i = 0; i < average.values.size(); ++i) {
      at::Tensor& value = average.values[i];
      const at::Tensor weight = average.parameter.detach().to(value.device());
      if (n_averaged_ == 0 || !has_averages(value)) {
        value.copy_(weight);
      } else {
        next_average(i, value, weight);
      }
    }
  }
  ++n_averaged_;
}

void AveragedWeights::exchange(std::size_t which) {
  before_change_();
  for (Average& average : averages_) {
    at::Tensor weights = average.parameter.detach();
    at::Tensor before = weights.clone();
    if (n_averaged_ > 0) weights.copy_(average.values[which]);
    average.values[which].copy_(before);
  }
}

void AveragedWeights::swap_in(std::size_t which) {
  require_own_weights("weights()");
  if (const std::size_t count = averages_.empty() ? 1 : averages_.front().values.size();
      which >= count) {
    misuse(fmt::format("there is no average {}; there are {}", which, count));
  }
  at::NoGradGuard no_grad;
  kept_buffers_.clear();
  for (const at::Tensor& buffer : buffers_) kept_buffers_.push_back(buffer.detach().clone());
  exchange(which);
  swapped_in_ = which;
}

void AveragedWeights::swap_out() {
  at::NoGradGuard no_grad;
  exchange(*swapped_in_);
  for (std::size_t i = 0; i < buffers_.size(); ++i) buffers_[i].detach().copy_(kept_buffers_[i]);
  kept_buffers_.clear();
  swapped_in_.reset();
}

AveragedWeights::Weights::Weights(AveragedWeights& averages, std::size_t which)
    : averages_(averages) {
  averages_.swap_in(which);
}

AveragedWeights::Weights::~Weights() { averages_.swap_out(); }

void AveragedWeights::original_tensors(OriginalTensors& originals) const {
  if (!swapped_in_) return;
  for (const Average& average : averages_) {
    originals.add(average.parameter, average.values[*swapped_in_]);
  }
  for (std::size_t i = 0; i < buffers_.size(); ++i) originals.add(buffers_[i], kept_buffers_[i]);
}

void AveragedWeights::save_averages(PartWriter& out) const {
  out.only_steps_change_what_follows(true);  // take_in() and Weights wait for saves
  const std::size_t count = averages_.empty() ? 0 : averages_.front().values.size();
  for (std::size_t i = 0; i < count; ++i) {
    for (const Average& average : averages_) {
      // Swapped in, the average is in the parameter. detach() makes it another tensor than the one
      // that the model's weights are saved for.
      out.tensor(prefix(i) + average.name,
                 swapped_in_ == i ? average.parameter.detach() : average.values[i]);
    }
  }
}

void AveragedWeights::check_own_weights(PartReader& in) const {
  if (!swapped_in_) return;
  in.mismatch(in.part() +
              ": the averages are the model's weights now; restore after the scope "
              "of weights() has ended");
}

void AveragedWeights::check_averages(PartReader& in) {
  const std::size_t count = averages_.empty() ? 0 : averages_.front().values.size();
  for (std::size_t i = 0; i < count; ++i) {
    for (const Average& average : averages_) {
      const std::string stored = prefix(i) + in.stored_name(average.name);
      if (in.selected(average.name)) {
        in.tensor(stored, average.values[i]);
      } else {
        in.ignore(stored);
      }
    }
  }
}

}  // namespace ckp::libtorch

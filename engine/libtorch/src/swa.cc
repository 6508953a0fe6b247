#include "ckp/libtorch/swa.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "state_fields.h"

namespace ckp::libtorch {

Swa::Swa(const torch::nn::Module& model, const SwaOptions& options,
         std::optional<c10::Device> device)
    : AveragedWeights("Swa", model, 1, device), options_(options) {
  if (options.begin < 0) misuse(fmt::format("begin is {}, must not be negative", options.begin));
  if (options.every < 1) misuse(fmt::format("every is {}, must be positive", options.every));
}

void Swa::update() {
  require_own_weights("update()");
  const std::int64_t since = calls_ - options_.begin;
  if (since >= 0 && since % options_.every == 0) take_in();
  ++calls_;
}

// Not lerp, whose last bits are others.
void Swa::next_average(std::size_t, at::Tensor& average, const at::Tensor& weight) {
  average.add_((weight - average).div_(n_averaged_ + 1));
}

void Swa::visit_fields(StateFields& fields) {
  fields("n_averaged", n_averaged_);
  fields("calls", calls_);
  fields("begin", options_.begin);
  fields("every", options_.every);
}

void Swa::save(PartWriter& out) const {
  Value::Map values;
  SaveFields fields(values);
  const_cast<Swa&>(*this).visit_fields(fields);  // saving reads the members only
  for (auto& [name, value] : values) out.value(name, std::move(value));
  save_averages(out);
}

void Swa::check(PartReader& in) {
  check_own_weights(in);
  const Value* every = in.find_value("every");
  if (every != nullptr && every->is_number() && every->as_double() < 1) {
    in.mismatch(fmt::format("{}/every: not positive in the checkpoint", in.part()));
  }
  RestoreFields fields(in.value(""), in.part(), in);
  visit_fields(fields);
  check_averages(in);
}

}  // namespace ckp::libtorch

#include "ckp/libtorch/ema.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ckp/error.h"

namespace ckp::libtorch {

Ema::Ema(const torch::nn::Module& model, std::vector<double> decays,
         std::optional<c10::Device> device)
    : AveragedWeights("Ema", model, decays.size(), device), decays_(std::move(decays)) {
  if (decays_.empty()) misuse("there is no decay");
  for (double decay : decays_) {
    if (!(decay >= 0 && decay <= 1)) misuse(fmt::format("decay {} is not between 0 and 1", decay));
  }
}

void Ema::update() {
  require_own_weights("update()");
  take_in();
}

void Ema::next_average(std::size_t which, at::Tensor& average, const at::Tensor& weight) {
  average.lerp_(weight, 1 - decays_[which]);
}

Ema::Weights Ema::weights(std::size_t which) {
  if (updates() == 0) misuse("weights() before the first update()");
  return Weights(*this, which);
}

std::string Ema::prefix(std::size_t which) const {
  return decays_.size() == 1 ? std::string() : fmt::format("{}/", decays_[which]);
}

void Ema::save(PartWriter& out) const {
  out.value("n_averaged", n_averaged_);
  out.value("decays", Value::List(decays_.begin(), decays_.end()));
  save_averages(out);
}

void Ema::check(PartReader& in) {
  check_own_weights(in);
  std::vector<double> decays;
  for (const Value& decay : in.value("decays").as_list()) decays.push_back(decay.as_double());
  const std::int64_t updates = in.value("n_averaged").as_int();
  if (decays.size() != decays_.size() || (decays.size() > 1 && decays != decays_)) {
    in.mismatch(fmt::format("{}: decays {} here, {} in the checkpoint", in.part(),
                            fmt::join(decays_, ", "), fmt::join(decays, ", ")));
    for (const std::string& name : in.names()) in.ignore(name);
    return;
  }
  check_averages(in);
  in.on_restore([this, decays, updates] {
    decays_ = decays;
    n_averaged_ = updates;
  });
}

}  // namespace ckp::libtorch

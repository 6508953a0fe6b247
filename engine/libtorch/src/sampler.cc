#include "ckp/libtorch/sampler.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"

namespace ckp::libtorch {
namespace {

// Neighbouring epochs and seeds must give unrelated orders: the finalizer of SplitMix64,
// https://prng.di.unimi.it/splitmix64.c
std::uint64_t mix(std::uint64_t seed, std::uint64_t epoch) {
  std::uint64_t x = seed + (epoch + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

at::Tensor shuffled(std::int64_t size, std::uint64_t seed) {
  return at::randperm(size, at::make_generator<at::CPUGeneratorImpl>(seed),
                      at::TensorOptions(at::kLong));
}

}  // namespace

Sampler::Sampler(std::int64_t size, std::int64_t batch_size, std::uint64_t seed)
    : size_(size), batch_size_(batch_size), seed_(seed) {
  if (size < 1 || batch_size < 1) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("sampler: size {} and batch size {} must be at least 1", size, batch_size));
  }
}

std::optional<at::Tensor> Sampler::draw(std::int64_t batch_size) {
  if (batch_size < 1) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("sampler: batch size {} must be at least 1", batch_size));
  }
  if (drawn_ == size_) return std::nullopt;
  if (!order_.defined()) order_ = shuffled(size_, mix(seed_, static_cast<std::uint64_t>(epoch_)));
  const std::int64_t end = std::min(drawn_ + batch_size, size_);
  at::Tensor batch = order_.slice(0, drawn_, end);
  in_flight_.push_back(end - drawn_);
  drawn_ = end;
  batch_size_ = batch_size;
  return batch;
}

void Sampler::delivered() {
  if (in_flight_.empty()) {
    throw Error(ErrorCode::invalid_argument, "sampler: delivered() without a batch drawn");
  }
  position_ += in_flight_.front();
  in_flight_.pop_front();
}

std::optional<at::Tensor> Sampler::next() {
  std::optional<at::Tensor> batch = draw(batch_size_);
  if (batch) {
    delivered();
  } else {
    end_epoch();
  }
  return batch;
}

void Sampler::end_epoch() {
  ++epoch_;
  position_ = drawn_ = 0;
  in_flight_.clear();
  order_ = at::Tensor();
}

void Sampler::begin_loader() {
  if (epoch_done()) end_epoch();
  in_flight_.clear();
  drawn_ = position_;
}

void Sampler::save(PartWriter& out) const {
  out.value("size", size_);
  out.value("batch_size", batch_size_);
  out.value("seed", static_cast<std::int64_t>(seed_));
  out.value("epoch", epoch_);
  out.value("position", position_);
  // Not derived from the seed again when loading: another LibTorch may shuffle in another way.
  if (order_.defined()) out.tensor("order", order_);
}

void Sampler::check(PartReader& in) {
  const std::int64_t size = in.value("size").as_int();
  if (size != size_) {
    in.mismatch(fmt::format("{}: {} samples here, {} in the checkpoint", in.part(), size_, size));
    return;
  }
  const std::int64_t epoch = in.value("epoch").as_int();
  const std::int64_t position = in.value("position").as_int();
  const bool has_order = in.find("order") != nullptr;
  if (epoch < 0 || position < 0 || position > size || (position > 0 && !has_order)) {
    in.mismatch(fmt::format("{}: epoch {}, position {} of {} {} order is no state of a sampler",
                            in.part(), epoch, position, size, has_order ? "with an" : "without"));
    return;
  }
  at::Tensor order;
  if (has_order) {
    order = at::empty({size}, at::kLong);
    in.tensor("order", order);
  }
  const Value* batch_size = in.find_value("batch_size");
  if (batch_size != nullptr && *batch_size != Value(batch_size_)) {
    in.converted(
        fmt::format("batch size {} in the checkpoint, {} here", batch_size->as_int(), batch_size_));
  }
  const auto seed = static_cast<std::uint64_t>(in.value("seed").as_int());
  in.on_restore([this, seed, epoch, position, order] {
    seed_ = seed;
    epoch_ = epoch;
    position_ = drawn_ = position;
    in_flight_.clear();
    order_ = order;
  });
}

}  // namespace ckp::libtorch

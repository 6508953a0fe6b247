// States with 16-bit weights that are the rounding of float32 masters.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "ckp/format/rounding.h"
#include "ckp/stats.h"
#include "ckp/verify.h"
#include "engine/sample_states.h"
#include "engine/store_fixture.h"
#include "support/seed.h"

namespace ckp::test {

// A master and its two moments, each in 7 chunks, and the weights in 4; a bias that shares a chunk.
class DerivedTest : public StoreTest {
 protected:
  using Bytes = std::vector<std::byte>;
  using Floats = std::vector<float>;
  using Halves = std::vector<std::uint16_t>;
  using Rounding = format::Rounding;

  DerivedTest() {
    for (Floats* all : {&masters_, &moments_, &squares_}) {
      for (float& one : *all) one = normal_(random_) * 0.02f;
    }
    round();
  }
  void round(Rounding rounding = Rounding::bfloat16) {
    rounding_ = rounding;
    weights_.resize(masters_.size());
    format::round_floats(rounding, std::as_bytes(std::span(masters_)),
                         std::as_writable_bytes(std::span(weights_)));
  }
  void train() {
    for (std::size_t i = 0; i < masters_.size(); ++i) {
      moments_[i] = 0.9f * moments_[i] + 0.01f * normal_(random_);
      squares_[i] = 0.99f * squares_[i] + 1e-4f * std::abs(normal_(random_));
      masters_[i] *= 1.0f + 1e-2f * normal_(random_);
    }
    round(rounding_);
    bias_[0] = static_cast<std::byte>(random_());
  }
  static TensorView of_floats(const Floats& floats) {
    const auto count = static_cast<std::int64_t>(floats.size());
    return contiguous_view(DType::float32, {count}, floats.data());
  }
  StateDict dict() const {
    const auto count = static_cast<std::int64_t>(weights_.size());
    const DType half = rounding_ == Rounding::bfloat16 ? DType::bfloat16 : DType::float16;
    StateDict state;
    state.add("model/w", contiguous_view(half, {count / 100, 100}, weights_.data()));
    state.add("optimizer/m", of_floats(moments_));
    state.add("optimizer/v", of_floats(squares_));
    state.add("optimizer/z", of_floats(masters_));
    state.add("model/bias", view_of(bias_, DType::float32, {100}, {1}));
    return state;
  }
  SaveReport save_all(ckp::Run& run) {
    ++epoch_;
    const SaveReport report =
        run.save(dict(), {.epoch = epoch_, .step = epoch_, .encode = encode_}).wait();
    expect_loads(report);
    return report;
  }
  SaveReport train_and_save(ckp::Run& run) {
    train();
    return save_all(run);
  }
  Checkpoint open(const SaveReport& report) { return store_.open_checkpoint(report.checkpoint); }
  // One by one, which rounds what is read for it; and together, which rounds what has been loaded.
  void expect_loads(const SaveReport& report) { expect_loads(open(report)); }
  void expect_loads(const Checkpoint& checkpoint) {
    expect_holds(checkpoint, dict());
    const StateDict state = dict();
    std::map<std::string, Bytes> loaded;
    std::vector<TensorTarget> targets;
    for (const auto& [name, view] : state.tensors()) {
      Bytes& bytes = loaded[name];
      bytes.resize(elements_of(view).size());
      targets.push_back({name, view.dtype, view.shape, view.strides, bytes.data()});
    }
    checkpoint.load(targets);
    for (const auto& [name, view] : state.tensors()) {
      EXPECT_TRUE(loaded[name] == elements_of(view)) << name;
    }
  }
  void expect_sound() {
    const auto report = store_.verify({.level = VerifyLevel::full});
    for (const auto& finding : report.findings) ADD_FAILURE() << finding.message;
    const NeededBytes needed = store_.stats().needed;
    EXPECT_EQ(needed.raw - needed.shared - needed.derived + needed.filler + needed.patches -
                  needed.compressed - needed.missing,
              needed.stored);
  }

  static constexpr std::size_t weight_chunks = 4, float_chunks = 3 * 7, bias_chunks = 1;
  static constexpr std::size_t elements_of_chunk = (64 << 10) / 2;
  Store store_ = Store::create(path());
  std::mt19937_64 random_{seed(73)};
  std::normal_distribution<float> normal_;
  Floats masters_ = Floats(100'000), moments_ = masters_, squares_ = masters_;
  Halves weights_;
  Bytes bias_ = Bytes(400);
  Rounding rounding_ = Rounding::bfloat16;
  EncodeOptions encode_{.chunk_size = 64 << 10};
  int epoch_ = 0;
};

}  // namespace ckp::test

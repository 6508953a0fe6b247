// A small state to save, and to recognize afterwards.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "ckp/load.h"
#include "ckp/state_dict.h"

namespace ckp::test {

// A model of one large and one small tensor, whose bytes depend on `version`.
class SmallState {
 public:
  explicit SmallState(int version, std::size_t large = 70'000) : large_(large), small_(10) {
    for (std::size_t i = 0; i < large_.size(); ++i) {
      large_[i] = std::sin(static_cast<float>(i) * 0.37f + static_cast<float>(version));
    }
    for (std::size_t i = 0; i < small_.size(); ++i) small_[i] = static_cast<float>(version) + 0.5f;
  }
  void poison() { large_[3] = std::nanf(""); }
  // Few of its bytes: where it is large enough, the next save stores a patch of the large tensor.
  void change(std::size_t element, float value) { large_[element] = small_[0] = value; }
  // All of the large tensor by little: the next save stores its differences.
  void train(int step) {
    for (std::size_t i = 0; i < large_.size(); ++i) {
      large_[i] *=
          1.0f + 1e-3f * std::sin(static_cast<float>(i) * 0.71f + static_cast<float>(step));
    }
  }
  StateDict dict() const {
    StateDict state;
    state.add(
        "model/large",
        contiguous_view(DType::float32, {static_cast<std::int64_t>(large_.size())}, large_.data()));
    state.add("model/small", contiguous_view(DType::float32, {10}, small_.data()));
    state.set("progress/note", "plain value");
    return state;
  }
  // Whether the checkpoint holds exactly this.
  bool is_in(const Checkpoint& checkpoint) const {
    std::vector<float> large(large_.size()), small(small_.size());
    const std::vector<TensorTarget> targets = {
        {"model/large",
         DType::float32,
         {static_cast<std::int64_t>(large.size())},
         {1},
         large.data()},
        {"model/small", DType::float32, {10}, {1}, small.data()}};
    checkpoint.load(targets);
    return large == large_ && small == small_;
  }

 private:
  std::vector<float> large_, small_;
};

}  // namespace ckp::test

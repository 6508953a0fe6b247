// Mixed precision for a scope, as Python's torch.autocast.
//
//   { ckp::libtorch::Autocast half(device);  loss = criterion(model(input), target); }
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <optional>

namespace ckp::libtorch {

// Inside the scope LibTorch's autocast runs matrix products, convolutions and the like in `dtype`
// and keeps what needs range in float32; for the thread that made it. Without a dtype: what
// LibTorch has set for the device (float16 on CUDA, bfloat16 on the CPU). Scopes nest; leaving one
// restores what was before, and leaving the outermost drops the cached casts of weights. There is
// no state to save. Error(unsupported) for a device whose autocast this LibTorch does not offer in
// C++; CPU and CUDA always work.
class Autocast {
 public:
  explicit Autocast(const c10::Device& device, bool enabled = true,
                    std::optional<c10::ScalarType> dtype = std::nullopt);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  c10::DeviceType device_;
  bool was_enabled_;
  c10::ScalarType was_dtype_;
};

}  // namespace ckp::libtorch

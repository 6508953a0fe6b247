// A device that does its work as late as it may: memory of the host, and streams whose work is done
// when somebody waits for them, each in its order and what it waits for first. What is not ordered
// by streams and events is therefore seen in the wrong order, always.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>

namespace ckp::test {

namespace fake_device {

inline constexpr at::DeviceType type = at::DeviceType::PrivateUse1;

// Zeros.
at::Tensor make(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat);
// Gives the current stream the work of setting all elements (float32).
void fill_later(const at::Tensor& tensor, float value);
// Does the current stream's work.
void finish_current_stream();
// Every wait fails from now on, or no longer.
void set_broken(bool broken);
// Memory that was ever asked for, in bytes.
std::size_t allocated();

}  // namespace fake_device

}  // namespace ckp::test

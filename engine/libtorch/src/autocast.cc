#include "ckp/libtorch/autocast.h"

#include <ATen/autocast_mode.h>
#include <fmt/format.h>
#include <torch/version.h>

#include "ckp/error.h"

namespace ckp::libtorch {
namespace {

#if TORCH_VERSION_MAJOR >= 2
bool is_enabled(c10::DeviceType device) { return at::autocast::is_autocast_enabled(device); }
void set_enabled(c10::DeviceType device, bool enabled) {
  at::autocast::set_autocast_enabled(device, enabled);
}
c10::ScalarType dtype_of(c10::DeviceType device) {
  return at::autocast::get_autocast_dtype(device);
}
void set_dtype(c10::DeviceType device, c10::ScalarType dtype) {
  at::autocast::set_autocast_dtype(device, dtype);
}
bool is_known(c10::DeviceType device) { return at::autocast::is_autocast_available(device); }
#else
// One function for each kind of device.
bool is_known(c10::DeviceType device) {
  return device == c10::DeviceType::CPU || device == c10::DeviceType::CUDA;
}
bool is_enabled(c10::DeviceType device) {
  return device == c10::DeviceType::CPU ? at::autocast::is_cpu_enabled()
                                        : at::autocast::is_enabled();
}
void set_enabled(c10::DeviceType device, bool enabled) {
  if (device == c10::DeviceType::CPU) {
    at::autocast::set_cpu_enabled(enabled);
  } else {
    at::autocast::set_enabled(enabled);
  }
}
c10::ScalarType dtype_of(c10::DeviceType device) {
  return device == c10::DeviceType::CPU ? at::autocast::get_autocast_cpu_dtype()
                                        : at::autocast::get_autocast_gpu_dtype();
}
void set_dtype(c10::DeviceType device, c10::ScalarType dtype) {
  if (device == c10::DeviceType::CPU) {
    at::autocast::set_autocast_cpu_dtype(dtype);
  } else {
    at::autocast::set_autocast_gpu_dtype(dtype);
  }
}
#endif

c10::DeviceType known(const c10::Device& device) {
  if (is_known(device.type())) return device.type();
  throw Error(ErrorCode::unsupported,
              fmt::format("Autocast: this LibTorch has none for {}", device.str()));
}

}  // namespace

Autocast::Autocast(const c10::Device& device, bool enabled, std::optional<c10::ScalarType> dtype)
    : device_(known(device)), was_enabled_(is_enabled(device_)), was_dtype_(dtype_of(device_)) {
  at::autocast::increment_nesting();
  if (dtype) set_dtype(device_, *dtype);
  set_enabled(device_, enabled);
}

Autocast::~Autocast() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  set_enabled(device_, was_enabled_);
  set_dtype(device_, was_dtype_);
}

}  // namespace ckp::libtorch

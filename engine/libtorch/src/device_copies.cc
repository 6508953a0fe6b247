#include "device_copies.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>

namespace ckp::libtorch {
namespace {

at::Tensor host_bytes(std::int64_t size) {
  const auto options = at::TensorOptions(at::kCPU).dtype(at::kByte);
  try {
    return at::empty({size}, options.pinned_memory(true));
  } catch (const c10::Error&) {  // no allocator of page-locked memory for this device
    return at::empty({size}, options);
  }
}

}  // namespace

at::Tensor HostBuffers::take(std::size_t size) {
  const auto fits = [&](const Buffer& buffer) {
    return buffer.bytes.nbytes() == size && buffer.bytes.storage().use_count() == 1;
  };
  auto place = std::find_if(buffers_.begin(), buffers_.end(), fits);
  if (place == buffers_.end()) {
    buffers_.push_back({host_bytes(static_cast<std::int64_t>(size))});
    place = buffers_.end() - 1;
  }
  place->taken = true;
  return at::empty({0}, place->bytes.options()).set_(place->bytes.storage());
}

void HostBuffers::end_round() {
  std::erase_if(buffers_, [](const Buffer& buffer) {
    return !buffer.taken && buffer.bytes.storage().use_count() == 1;
  });
  for (Buffer& buffer : buffers_) buffer.taken = false;
}

DeviceCopies::~DeviceCopies() {
  try {
    wait();
  } catch (const c10::Error&) {  // nobody will read them
  }
}

// The device's current stream is the training's: the side stream begins after what it was given.
const c10::Stream* DeviceCopies::side_stream(const c10::Device& device) {
  for (const c10::Stream& side : sides_) {
    if (side.device() == device) return &side;
  }
  if (!c10::impl::hasDeviceGuardImpl(device.type())) return nullptr;
  const c10::impl::VirtualGuardImpl guard(device.type());
  try {
    const c10::Stream side = guard.getStreamFromGlobalPool(device);
    c10::Event given(device.type());
    given.record(guard.getStream(device));
    given.block(side);
    sides_.push_back(side);
  } catch (const c10::Error&) {  // it has no streams or events
    return nullptr;
  }
  return &sides_.back();
}

at::Tensor DeviceCopies::begin(const at::Tensor& bytes) {
  at::NoGradGuard no_grad;
  at::Tensor host = buffers_->take(bytes.nbytes());
  const c10::Stream* side = side_stream(bytes.device());
  if (side == nullptr) {
    host.copy_(bytes);
    return host;
  }
  const c10::StreamGuard on_side(*side);
  host.copy_(bytes, /*non_blocking=*/true);
  // Its memory is not given to anybody else before that, whatever becomes of the tensor.
  c10::impl::VirtualGuardImpl(side->device_type())
      .recordDataPtrOnStream(bytes.storage().data_ptr(), *side);
  return host;
}

void DeviceCopies::hold_streams() const {
  for (const c10::Stream& side : sides_) {
    c10::Event copied(side.device_type());
    copied.record(side);
    copied.block(c10::impl::VirtualGuardImpl(side.device_type()).getStream(side.device()));
  }
}

void DeviceCopies::wait() const {
  for (const c10::Stream& side : sides_) side.synchronize();
}

}  // namespace ckp::libtorch

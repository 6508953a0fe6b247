// Device memory on its way into host memory: on a side stream of each device, so that the training
// goes on meanwhile. Through LibTorch's device-independent interface: no CUDA header.
//
// Its order has been tested with a device that is a fake (tests/libtorch/device_copies_test.cc). It
// has not run on a GPU.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace ckp::libtorch {

// Host memory that is used again by the next save: page-locked where LibTorch can make such, which
// takes long. One thread; others may drop what they got.
class HostBuffers {
 public:
  // Bytes, one-dimensional. Nobody else gets them while anyone holds their storage.
  at::Tensor take(std::size_t size);
  // Frees what has not been taken since the last call and is held by nobody.
  void end_round();

 private:
  struct Buffer {
    at::Tensor bytes;
    bool taken = false;  // since the last end_round
  };
  std::vector<Buffer> buffers_;
};

class DeviceCopies {
 public:
  explicit DeviceCopies(std::shared_ptr<HostBuffers> buffers) : buffers_(std::move(buffers)) {}
  ~DeviceCopies();  // waits, too
  DeviceCopies(const DeviceCopies&) = delete;
  DeviceCopies& operator=(const DeviceCopies&) = delete;

  // Begins to copy `bytes` (of any device but the CPU) as they are after all that their device's
  // current stream has been given so far. The result is not to be read before wait() has returned.
  // Devices without streams: copied when it returns.
  at::Tensor begin(const at::Tensor& bytes);
  // What the devices' current streams are given from now on waits, on the device, for the copies
  // begun so far: it may change their originals.
  void hold_streams() const;
  // Waits for all of them; any thread. Throws LibTorch's error when a device has failed.
  void wait() const;

 private:
  const c10::Stream* side_stream(const c10::Device& device);

  std::shared_ptr<HostBuffers> buffers_;
  std::vector<c10::Stream> sides_;  // one for each device
};

}  // namespace ckp::libtorch

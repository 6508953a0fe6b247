#include "state_tensors.h"

#include "ckp/libtorch/tensor.h"

namespace ckp::libtorch {

void StateTensors::add(std::string name, const at::Tensor& tensor, bool check_finite,
                       bool only_steps_change_it) {
  check_savable(name, tensor);
  entries_.push_back({std::move(name), tensor, check_finite, only_steps_change_it});
}

void StateTensors::put_into(StateDict& state, SnapshotMode snapshot,
                            const std::shared_ptr<HostBuffers>& buffers) const {
  const bool lazy = snapshot == SnapshotMode::lazy;
  const auto device = std::make_shared<DeviceCopies>(buffers);
  HostCopies copies(device.get());
  for (const Entry& entry : entries_) {
    if (lazy && !entry.only_steps_change_it) copies.copy_now(entry.tensor);
  }
  device->hold_streams();
  for (const Entry& entry : entries_) {
    TensorView view = tensor_view(entry.name, entry.tensor, copies);
    view.check_finite = entry.check_finite;
    state.add(entry.name, std::move(view));
  }
  buffers->end_round();
  if (lazy) {
    state.when_readable([device] { device->wait(); });
  } else {
    device->wait();
  }
}

}  // namespace ckp::libtorch

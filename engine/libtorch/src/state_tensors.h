// The tensors of a state on their way into its StateDict.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "ckp/save.h"
#include "ckp/state_dict.h"
#include "device_copies.h"

namespace ckp::libtorch {

class StateTensors {
 public:
  // A dense one. Errors as tensor_view.
  void add(std::string name, const at::Tensor& tensor, bool check_finite,
           bool only_steps_change_it);
  // Adds them all. For a lazy save the memory of those that not only steps change is copied here,
  // and with it what shares a storage with them, so that it is shared in the checkpoint, too.
  // Device memory is copied into `buffers`: of a lazy save by the time that the state is readable,
  // and what the device's current stream is given from now on sees to it that those that not only
  // steps change have been read; otherwise by the time that this returns.
  void put_into(StateDict& state, SnapshotMode snapshot,
                const std::shared_ptr<HostBuffers>& buffers) const;

 private:
  struct Entry {
    std::string name;
    at::Tensor tensor;
    bool check_finite = true;
    bool only_steps_change_it = false;
  };
  std::vector<Entry> entries_;
};

}  // namespace ckp::libtorch

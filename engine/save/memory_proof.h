// Whether the memory of a state is still what it was.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ckp/digest.h"
#include "ckp/state_dict.h"

namespace ckp {

class MemoryProof {
 public:
  // Hashes what the tensors of `state` touch, on the calling thread.
  explicit MemoryProof(const StateDict& state);
  // Hashes it again. Error(invalid_argument) names what differs by now.
  void check(const StateDict& state) const;

 private:
  std::vector<std::pair<std::string, Digest>> digests_;  // by name
};

}  // namespace ckp

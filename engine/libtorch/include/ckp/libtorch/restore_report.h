// What a restore did, and what it may leave undone.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "ckp/load.h"

namespace ckp::libtorch {

struct RestoreOptions {
  // Everything the state asks for must be in the checkpoint, and everything in the checkpoint below
  // a part of the state must be wanted. Otherwise both are only reported. Shapes and dtypes must
  // fit either way. Whole parts that the state does not have are always only reported.
  bool strict = true;
  LoadOptions load;
};

// Names of tensors; parts that hold values only stand under their own name.
struct RestoreReport {
  std::vector<std::string> restored;
  std::vector<std::string> missing;  // asked for, not in the checkpoint; left as they were
  std::vector<std::string> ignored;  // in the checkpoint, not asked for
};

// "restored: model (14 tensors), progress; missing: none; ignored: ema (14 tensors)".
std::ostream& operator<<(std::ostream& out, const RestoreReport& report);

}  // namespace ckp::libtorch

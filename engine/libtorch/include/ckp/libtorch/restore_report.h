// What a restore did, and what it may leave undone.
#pragma once

#include <c10/core/Device.h>

#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "ckp/libtorch/restore_selection.h"
#include "ckp/load.h"
#include "ckp/value.h"

namespace ckp::libtorch {

struct RestoreOptions {
  // Everything the state asks for must be in the checkpoint, and everything in the checkpoint below
  // a part of the state must be wanted. Otherwise both are only reported. Shapes and dtypes must
  // fit either way. Whole parts that the state does not have are always only reported.
  bool strict = true;
  // The continuation must be the one that was interrupted: Error(mismatch) before anything changes
  // unless RestoreReport::exact() would be true, and for checkpoints saved inside a step.
  bool exact = false;
  // Options that stay as the program constructed them, as the report names them: "optimizer/*/lr".
  // A star stands for any characters but a slash.
  std::vector<std::string> keep_constructed = {};
  LoadOptions load = {};
  RestoreSelection select = {};
  // By the part's name: where what the restore itself makes is put, such as an optimizer's state,
  // instead of beside its parameter. Tensors that the program has are filled where they are,
  // whatever this says: a model's, and the averages of an Ema or Swa. Error(invalid_argument) for a
  // name that is no part of the state.
  std::map<std::string, c10::Device> devices = {};
};

// Something that the program sets in one way and the checkpoint in another.
struct Difference {
  enum class Kept { program, checkpoint };
  std::string name;  // "optimizer/0/lr" (part, group, option), "threads"
  Value program;
  Value checkpoint;
  Kept kept = Kept::program;
  bool changes_results = true;  // false: told for people only, such as the command line
};

// Names of tensors; parts that hold values only stand under their own name.
struct RestoreReport {
  std::vector<std::string> restored;
  std::vector<std::string> missing;    // asked for, not in the checkpoint; left as they were.
                                       // Also what only other ranks had
  std::vector<std::string> ignored;    // in the checkpoint, not asked for
  std::vector<std::string> converted;  // taken over in another form: "sampler: batch size 32 -> 64"
  std::vector<Difference> differences;

  // Whether training goes on as if it had never stopped: nothing missing, ignored or converted, and
  // no difference that changes results. Not compared with what the program constructs are the
  // numbers of StepLR, Ema, Swa, GradScaler, Sampler and early stopping: StepLR and early stopping
  // keep the program's, the others take the checkpoint's.
  bool exact() const;
};

// "restored: model (14 tensors), progress; missing: none; ignored: ema (14 tensors)", then an
// indented line for each conversion and each difference. No line break at the end.
std::ostream& operator<<(std::ostream& out, const RestoreReport& report);
// "optimizer/0/lr: program 0.0001, checkpoint 0.001, kept 0.001".
std::ostream& operator<<(std::ostream& out, const Difference& difference);

// The same as one JSON object on one line: {"exact": ..., "restored": [...], "missing": [...],
// "ignored": [...], "converted": [...], "differences": [{"name", "program", "checkpoint", "kept",
// "changes_results"}]}.
std::string to_json(const RestoreReport& report);

}  // namespace ckp::libtorch

// What became of tensors over the checkpoints of a run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ckp/compare.h"
#include "ckp/records.h"
#include "ckp/verify.h"

namespace ckp {

class Store;

struct HistoryOptions {
  // Which tensors: see matches_name. Empty: all.
  std::string only = {};
  // Called after each checkpoint, with the tensor bytes of those that are done with.
  std::function<void(const VerifyProgress&)> progress = {};
  // Polled before each tensor; true ends it early, and the report says `complete = false`.
  std::function<bool()> cancelled = {};
};

// One tensor at one checkpoint, against the last checkpoint before it in which the tensor was there
// and could be read.
struct TensorStep {
  enum class Kind {
    first,  // there is none before, or that one cannot be read any more: see `damage`
    unchanged,
    changed,
    other_type,  // another dtype or shape: nothing to compare
    absent,      // a tensor that an earlier checkpoint has
    unreadable,
  };
  std::string name;
  Kind kind = Kind::first;
  std::optional<TensorType> type = {};
  std::uint64_t elements = 0;
  std::uint64_t changed = 0;    // elements with other bits
  std::uint64_t nonfinite = 0;  // elements that are NaN or infinite, now
  // Euclidean, of the elements that are finite now. Nothing for float8.
  std::optional<double> norm = {};
  // Of the difference, over the elements that are finite in both; see TensorChange.
  std::optional<double> norm_change = {}, max_change = {}, relative = {};
  std::string damage = {};  // file, chunk and offset
};

struct DriftStep {
  CheckpointRecord checkpoint;
  std::string damage = {};  // why the checkpoint could not be opened
  std::vector<TensorStep> tensors = {};
};

struct DriftReport {
  std::vector<DriftStep> steps;  // in the order of the checkpoints given
  bool complete = true;
};

// Norms and changes of tensors from checkpoint to checkpoint, in the order given: for a run, that
// of current_line. A tensor of which no chunk has another digest than in the checkpoint before is
// not read; of any other, chunks that are equal in both are read once. A few chunks are in memory
// at a time, the manifests of those that are compared, and the report. What is damaged or gone is
// named, and what follows is compared with what came before it. Error(not_found), with the closest
// names, when `only` matches no tensor of any checkpoint that could be opened.
DriftReport drift(const Store& store, std::span<const CheckpointRecord> checkpoints,
                  const HistoryOptions& options = {});

// A tensor with a NaN or an infinity in it.
struct NonfiniteTensor {
  std::string name;
  TensorType type;
  NonfiniteElement first;  // in row-major order
};

struct FirstNonfinite {
  // The first checkpoint with such a tensor, and all of its tensors that were asked for and have
  // one, by name. Nothing: all that could be read is finite.
  std::optional<CheckpointRecord> checkpoint = {};
  std::vector<NonfiniteTensor> tensors = {};
  // The last before it (or, when there is none, of all) that has been read in full and is finite.
  std::optional<CheckpointRecord> last_good = {};
  // What could not be read up to the answer, one line each. When there is any, an earlier
  // checkpoint may be the first.
  std::vector<std::string> damage = {};
  std::uint64_t checkpoints_read = 0;
  std::uint64_t bytes_read = 0;  // raw, of tensors
  bool complete = true;
};

// The first of the checkpoints, in the order given, in which a wanted tensor has a NaN or an
// infinity. Goes forward and looks at all of them up to the answer: a NaN may come and go, so that
// halving could end at a later one. It costs what reading the different chunks costs: what was
// finite once is known by its chunk's digest and is not read again, here or in another checkpoint
// (only of strided tensors rows shorter than 4 KiB are); integers are not read at all. Memory
// grows with the number of different chunks, some 64 bytes each. CheckpointRecord::nonfinite is not
// asked: it leaves out tensors that their trainer has excluded (TensorView::check_finite), and does
// not say where. Error(not_found) as of drift().
FirstNonfinite find_first_nonfinite(const Store& store,
                                    std::span<const CheckpointRecord> checkpoints,
                                    const HistoryOptions& options = {});

}  // namespace ckp

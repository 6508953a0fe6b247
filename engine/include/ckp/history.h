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

}  // namespace ckp

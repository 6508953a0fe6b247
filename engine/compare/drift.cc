#include <map>
#include <set>

#include "ckp/history.h"
#include "compare/tensor_comparer.h"
#include "compare/walk_history.h"

namespace ckp {
namespace {

// What the next checkpoint is compared with.
struct TensorBase {
  Checkpoint checkpoint;
  TensorStep step;  // there
};

class DriftTaker {
 public:
  explicit DriftTaker(const HistoryOptions& options) : options_(options) {}

  // False when it was cancelled.
  bool add(const Checkpoint& checkpoint, DriftStep& step) {
    TensorComparer own(checkpoint, checkpoint, Norms::all_tensors);
    std::map<Uuid, TensorComparer> with_base;
    for (const std::string& name : names_at(checkpoint)) {
      if (options_.cancelled && options_.cancelled()) return false;
      const auto base = bases_.find(name);
      if (checkpoint.manifest().find(name) == nullptr) {
        TensorStep gone;
        gone.name = name;
        gone.kind = TensorStep::Kind::absent;
        step.tensors.push_back(std::move(gone));
        continue;
      }
      if (base == bases_.end()) {
        step.tensors.push_back(alone(own, name, TensorStep::Kind::first));
      } else {
        const Checkpoint& before = base->second.checkpoint;
        auto& pair =
            with_base.try_emplace(before.record().id, before, checkpoint, Norms::changed_tensors)
                .first->second;
        step.tensors.push_back(compared(pair, own, base->second.step));
      }
      const TensorStep& now = step.tensors.back();
      if (now.kind == TensorStep::Kind::unreadable) continue;
      next_.insert_or_assign(name, TensorBase{checkpoint, now});
    }
    // Not before: the comparers look at the old ones.
    with_base.clear();
    for (auto& [name, base] : next_) bases_.insert_or_assign(name, std::move(base));
    next_.clear();
    return true;
  }

 private:
  // In order, with those that only an earlier one has.
  std::set<std::string> names_at(const Checkpoint& checkpoint) {
    std::set<std::string> names;
    for (const auto& base : bases_) names.insert(base.first);
    for (const format::TensorEntry& tensor : checkpoint.manifest().tensors) {
      if (is_wanted(options_, tensor.name)) names.insert(tensor.name);
    }
    return names;
  }

  static TensorStep alone(TensorComparer& own, const std::string& name, TensorStep::Kind kind) {
    const TensorChange change = own.compare(name);
    TensorStep step;
    step.name = name;
    step.kind = kind;
    step.type = change.b;
    step.elements = change.elements;
    step.norm = change.norm_b;
    step.nonfinite = change.nonfinite_b;
    if (change.kind == TensorChange::Kind::unreadable) {
      step.kind = TensorStep::Kind::unreadable;
      step.damage = change.damage;
    }
    return step;
  }

  static TensorStep compared(TensorComparer& pair, TensorComparer& own, const TensorStep& before) {
    const TensorChange change = pair.compare(before.name);
    if (change.kind == TensorChange::Kind::other_type) {
      return alone(own, before.name, TensorStep::Kind::other_type);
    }
    if (change.kind == TensorChange::Kind::unreadable) {
      // When the damage is the other's, this one can be read by itself.
      TensorStep step = alone(own, before.name, TensorStep::Kind::unreadable);
      if (step.damage.empty()) {
        step.kind = TensorStep::Kind::first;
        step.damage = change.damage;
      }
      return step;
    }
    TensorStep step = before;
    step.kind = change.changed == 0 ? TensorStep::Kind::unchanged : TensorStep::Kind::changed;
    step.damage.clear();
    step.type = change.b;
    step.elements = change.elements;
    step.changed = change.changed;
    step.norm_change = change.norm_change;
    step.max_change = change.max_change;
    step.relative = change.norm_change == 0.0 ? std::optional(0.0) : change.relative();
    if (step.kind == TensorStep::Kind::unchanged) return step;
    step.nonfinite = change.nonfinite_b;
    // The pair's norm leaves out what is finite in this one only.
    step.norm = change.nonfinite_a == 0 ? change.norm_b
                                        : alone(own, before.name, TensorStep::Kind::changed).norm;
    return step;
  }

  const HistoryOptions& options_;
  std::map<std::string, TensorBase> bases_, next_;
};

}  // namespace

DriftReport drift(const Store& store, std::span<const CheckpointRecord> checkpoints,
                  const HistoryOptions& options) {
  DriftReport report;
  DriftTaker taker(options);
  walk_history(
      store, checkpoints, options,
      [&](const CheckpointRecord& record, const Checkpoint* checkpoint, const std::string& damage) {
        DriftStep step;
        step.checkpoint = record;
        step.damage = damage;
        if (checkpoint != nullptr) report.complete = taker.add(*checkpoint, step);
        report.steps.push_back(std::move(step));
        return report.complete;
      });
  return report;
}

}  // namespace ckp

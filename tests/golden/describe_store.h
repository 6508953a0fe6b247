// What is in a store, as text that does not depend on the version that prints it.
#pragma once

#include <fmt/format.h>

#include <string>

#include "ckp/state_digest.h"
#include "ckp/store.h"

namespace ckp::golden {

inline std::string describe_store(const Store& store) {
  std::string text = fmt::format("store {}\n", store.uuid().hex());
  for (const RunRecord& run : store.runs()) {
    text += fmt::format("run {} '{}' in '{}', {}, {} attempts, {} parameters, best by {}\n",
                        run.id.hex(), run.name, run.experiment, to_string(run.status),
                        run.attempts.size(), run.parameters.size(), run.best_metric);
    for (const CheckpointRecord& one : store.checkpoints(run.id)) {
      text += fmt::format("checkpoint {} commit {} attempt {} epoch {} step {} loss {} {} tags {}",
                          one.id.hex(), one.commit, one.attempt, one.epoch, one.step,
                          one.metrics.at("val/loss"), one.nonfinite ? "nonfinite" : "finite",
                          one.tags.size());
      text += fmt::format(" state {}\n", state_digest(store.open_checkpoint(one)).total.hex());
    }
  }
  return text;
}

}  // namespace ckp::golden

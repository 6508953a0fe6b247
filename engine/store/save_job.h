// A save on its way: what the caller's thread hands to the background.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "save/captured_artifacts.h"
#include "save/save_state.h"
#include "save/snapshot.h"
#include "save/state_writer.h"

namespace ckp {

// What a save shall write, compared with what there is.
struct PlannedSave {
  SaveOptions options;
  std::int64_t now_ns = 0;
  Value::Map values;
  std::vector<CapturedArtifact> artifacts;
  ChunkLayout layout;
  std::vector<Digest> places;                  // by chunk
  std::shared_ptr<const CommittedState> base;  // what it was compared with; may be null
  ComparedState compared;                      // points into `base`
  std::optional<Staging> copy;                 // what `layout` points into, in the background
};

struct SaveJob {
  std::shared_ptr<PendingSave::State> save;
  std::unique_ptr<PlannedSave> planned;
  std::uint64_t bytes = 0;  // that `planned` holds
  std::chrono::steady_clock::time_point queued;
  std::exception_ptr error = nullptr;  // why it failed

  // What has changed is stored even if it stands in a save of the same group; so one that was
  // compared with nothing goes alone, and finds what the one before it has stored.
  bool may_share_a_commit() const { return planned->base && !planned->base->chunks.empty(); }
};

}  // namespace ckp

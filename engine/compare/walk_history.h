// Opening the checkpoints of a run one after the other.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ckp/history.h"
#include "ckp/load.h"

namespace ckp {

bool is_wanted(const HistoryOptions& options, std::string_view tensor);

// The checkpoint is null when it is damaged or gone, and `damage` says why. False ends the walk.
using VisitCheckpoint = std::function<bool(
    const CheckpointRecord& record, const Checkpoint* checkpoint, const std::string& damage)>;

// Tells the progress. At its end, unless a visit ended it, Error(not_found) when no tensor of any
// checkpoint was wanted and one could be opened.
void walk_history(const Store& store, std::span<const CheckpointRecord> checkpoints,
                  const HistoryOptions& options, const VisitCheckpoint& visit);

}  // namespace ckp

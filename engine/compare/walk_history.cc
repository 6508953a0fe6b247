#include "compare/walk_history.h"

#include <algorithm>
#include <optional>

#include "ckp/error.h"
#include "ckp/store.h"
#include "compare/tensor_names.h"

namespace ckp {
namespace {

std::optional<Checkpoint> open_or_say(const Store& store, const CheckpointRecord& record,
                                      std::string& damage) {
  try {
    return store.open_checkpoint(record);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::not_found) throw;
    damage = error.what();
    return std::nullopt;
  }
}

bool has_wanted(const HistoryOptions& options, const Checkpoint& checkpoint) {
  const auto& tensors = checkpoint.manifest().tensors;
  return std::any_of(tensors.begin(), tensors.end(), [&](const format::TensorEntry& tensor) {
    return is_wanted(options, tensor.name);
  });
}

void throw_not_wanted(const HistoryOptions& options, const Checkpoint& checkpoint) {
  std::vector<std::string_view> names;
  for (const format::TensorEntry& tensor : checkpoint.manifest().tensors) {
    names.push_back(tensor.name);
  }
  throw no_such_tensor(options.only, checkpoint.name(), names);
}

}  // namespace

bool is_wanted(const HistoryOptions& options, std::string_view tensor) {
  return options.only.empty() || matches_name(options.only, tensor);
}

void walk_history(const Store& store, std::span<const CheckpointRecord> checkpoints,
                  const HistoryOptions& options, const VisitCheckpoint& visit) {
  VerifyProgress progress;
  for (const CheckpointRecord& record : checkpoints) progress.bytes_total += record.tensor_bytes;
  bool any_wanted = options.only.empty();
  std::optional<Checkpoint> last;
  for (const CheckpointRecord& record : checkpoints) {
    std::string damage;
    const std::optional<Checkpoint> checkpoint = open_or_say(store, record, damage);
    if (checkpoint) {
      last = checkpoint;
      any_wanted = any_wanted || has_wanted(options, *checkpoint);
    }
    if (!visit(record, checkpoint ? &*checkpoint : nullptr, damage)) return;
    progress.bytes_done += record.tensor_bytes;
    if (options.progress) options.progress(progress);
  }
  if (!any_wanted && last) throw_not_wanted(options, *last);
}

}  // namespace ckp

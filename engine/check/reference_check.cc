#include "check/reference_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "check/finding.h"
#include "ckp/error.h"
#include "save/parallel.h"

namespace ckp {
namespace {

// Nothing when all is well, or when the checkpoint is gone or cannot be read: told elsewhere.
std::optional<Finding> check_checkpoint(StoreCore& core, const Snapshot& snapshot,
                                        const PackFacts& pack, KnownChunks& known) {
  using Answer = KnownChunks::Answer;
  const std::string& directory = snapshot.runs[pack.run].directory.name;
  std::uint64_t missing = 0;
  Finding finding;
  try {
    const ScannedCheckpoint checkpoint = read_checkpoint(core.fs(), pack.file);
    for (const auto& reference : checkpoint.manifest.references) {
      const Uuid& target = reference.address.pack;
      if (target.is_nil()) continue;
      const Answer answer = known.find(directory, reference);
      if (answer == Answer::there || answer == Answer::unknown || missing++ > 0) continue;
      const PackProblem problem{
          reference.address.number, -1,
          fmt::format("chunk {} of pack {}, which this checkpoint refers to, is missing",
                      reference.address.number, target.hex())};
      finding = make_finding(pack.file.path.string(), problem, target, checkpoint.record,
                             checkpoint.manifest);
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_resources) throw;
    return std::nullopt;
  }
  if (missing == 0) return std::nullopt;
  // A prune retires a checkpoint before it takes away what only that one needs (R2, R4, W4).
  if (!core.fs().status(pack.file.path)) return std::nullopt;
  if (missing > 1) finding.message += fmt::format(" ({} more chunks are)", missing - 1);
  return finding;
}

}  // namespace

const KnownChunks::Pack& KnownChunks::pack(const std::string& directory, const Uuid& uuid) {
  const std::lock_guard guard(mutex_);
  const auto [at, is_new] = packs_.try_emplace(uuid);
  if (!is_new) return at->second;
  // Listed anew: a pack may have been committed after its directory was listed, and before the
  // checkpoint that refers to it.
  const auto file = find_pack(core_.fs(), core_.layout(), directory, uuid);
  if (!file) {
    const bool may_be_away = !list_unreachable_runs(core_.fs(), core_.layout()).empty();
    at->second.answer = may_be_away ? Answer::unknown : Answer::pack_missing;
    return at->second;
  }
  try {
    at->second.table = open_pack(core_.fs(), file->path).directory.chunks;
    at->second.answer = Answer::missing;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_resources) throw;
  }
  return at->second;
}

KnownChunks::Answer KnownChunks::find(const std::string& directory,
                                      const format::ChunkReference& reference) {
  const Pack& known = pack(directory, reference.address.pack);
  if (known.answer != Answer::missing) return known.answer;
  const std::uint32_t number = reference.address.number;
  const auto entry = std::lower_bound(
      known.table.begin(), known.table.end(), number,
      [](const format::TableEntry& one, std::uint32_t wanted) { return one.number < wanted; });
  const bool there = entry != known.table.end() && entry->number == number &&
                     entry->raw_digest == reference.raw_digest &&
                     entry->raw_size == reference.raw_size;
  return there ? Answer::there : Answer::missing;
}

std::vector<Finding> check_references(StoreCore& core, const Snapshot& snapshot, unsigned threads) {
  std::vector<const PackFacts*> users;
  for (const auto& [uuid, pack] : snapshot.packs) {
    if (pack.file.name.is_kept() && !pack.needs.empty()) users.push_back(&pack);
  }
  KnownChunks known(core);
  std::vector<std::optional<Finding>> found(users.size());
  parallel_for(users.size(), thread_count(threads), [&](std::size_t i) {
    found[i] = check_checkpoint(core, snapshot, *users[i], known);
  });
  std::vector<Finding> findings;
  for (auto& finding : found) {
    if (finding) findings.push_back(std::move(*finding));
  }
  return findings;
}

}  // namespace ckp

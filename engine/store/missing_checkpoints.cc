#include "store/missing_checkpoints.h"

#include <fmt/format.h>

#include <set>

#include "ckp/error.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

using Listing = std::vector<CheckpointRecord>;

// Both ways: files that the index does not list, and what it lists without a file.
std::vector<std::string> compare(const RunDirectory& directory, const Listing& listed) {
  std::set<Uuid> unseen, with_a_file;
  for (const CheckpointRecord& checkpoint : listed) unseen.insert(checkpoint.id);
  std::vector<std::string> lines;
  for (const ScannedPack& pack : directory.packs) {
    with_a_file.insert(pack.name.uuid);
    if (pack.name.state != PackState::live || unseen.contains(pack.name.uuid)) continue;
    lines.push_back(fmt::format("{}: cannot be read, and is not listed", pack.path.string()));
  }
  for (const CheckpointRecord& checkpoint : listed) {
    if (with_a_file.contains(checkpoint.id)) continue;
    lines.push_back(
        fmt::format("{}: the file is missing, and the checkpoint was neither pruned nor removed",
                    (directory.path / live_name(checkpoint)).string()));
  }
  return lines;
}

// What the files themselves say, where there is no index.
std::vector<std::string> unreadable(StoreCore& core, const RunDirectory& directory) {
  std::vector<Error> errors;
  read_checkpoints(core.fs(), directory, &errors);
  std::vector<std::string> lines;
  for (const Error& error : errors) lines.emplace_back(error.what());
  return lines;
}

}  // namespace

std::vector<std::string> missing_checkpoints(StoreCore& core, const RunRecord& run) {
  RunDirectory directory = list_run(core.fs(), core.layout(), run.directory);
  Listing listed;
  const auto ask = [&](const Index& index) { listed = index.checkpoints(run.id); };
  if (!core.ask(ask)) return unreadable(core, directory);
  if (compare(directory, listed).empty()) return {};
  // A save or a prune may have come in between: once more, while nobody can.
  const StoreLock lock = core.lock();
  directory = list_run(core.fs(), core.layout(), run.directory);
  if (!core.ask_if_trusted(lock, ask)) return {};
  return compare(directory, listed);
}

}  // namespace ckp

#include "store/missing_checkpoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "ckp/error.h"
#include "store/marks.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

using Listing = std::vector<CheckpointRecord>;

Listing without_file(const RunDirectory& directory, const Listing& listed) {
  std::set<Uuid> with_a_file;
  for (const ScannedPack& pack : directory.packs) with_a_file.insert(pack.name.uuid);
  Listing lost;
  for (const CheckpointRecord& checkpoint : listed) {
    if (!with_a_file.contains(checkpoint.id)) lost.push_back(checkpoint);
  }
  return lost;
}

// A journal in which a checkpoint's metrics had been logged when it was saved, and that is gone.
std::vector<std::string> lost_journals(const RunDirectory& directory, const Listing& listed) {
  std::map<Uuid, std::uint32_t> lost;  // and the attempt
  for (const CheckpointRecord& checkpoint : listed) {
    if (checkpoint.journal) lost[checkpoint.journal->journal] = checkpoint.attempt;
  }
  for (const std::string& name : directory.names) {
    if (const auto journal = parse_journal_name(name)) lost.erase(journal->journal);
  }
  std::vector<std::string> lines;
  for (const auto& [journal, attempt] : lost) {
    lines.push_back(fmt::format(
        "{}: the journal is missing: what attempt {} logged, and its parameters, are "
        "unknown; its checkpoints and their own metrics are not",
        (directory.path / to_file_name(JournalName{attempt, journal})).string(), attempt));
  }
  return lines;
}

// Both ways: files that the index does not list, and what it lists without a file.
std::vector<std::string> compare(const RunDirectory& directory, const Listing& listed) {
  std::set<Uuid> known;
  for (const CheckpointRecord& checkpoint : listed) known.insert(checkpoint.id);
  std::vector<std::string> lines;
  for (const ScannedPack& pack : directory.packs) {
    if (pack.name.state != PackState::live || known.contains(pack.name.uuid)) continue;
    lines.push_back(fmt::format("{}: cannot be read, and is not listed", pack.path.string()));
  }
  for (const CheckpointRecord& lost : without_file(directory, listed)) {
    lines.push_back(
        fmt::format("{}: the file is missing, and the checkpoint was neither pruned nor removed",
                    (directory.path / live_name(lost)).string()));
  }
  for (std::string& line : lost_journals(directory, listed)) lines.push_back(std::move(line));
  return lines;
}

// Whether files and list agree, by the ids alone, and every attempt has a journal: the records are
// for those who have to be told.
bool agree(StoreCore& core, const RunRecord& run) {
  std::set<Uuid> listed;
  const bool asked = core.ask([&](const Index& index) {
    const auto ids = index.checkpoint_ids(run.id);
    listed = {ids.begin(), ids.end()};
  });
  if (!asked) return false;
  const RunDirectory directory = list_run(core.fs(), core.layout(), run.directory);
  std::set<Uuid> with_a_file;
  for (const ScannedPack& pack : directory.packs) {
    if (pack.name.state == PackState::live && !listed.contains(pack.name.uuid)) return false;
    with_a_file.insert(pack.name.uuid);
  }
  std::set<std::uint32_t> with_a_journal;
  for (const std::string& name : directory.names) {
    if (const auto journal = parse_journal_name(name)) with_a_journal.insert(journal->attempt);
  }
  for (const Attempt& attempt : run.attempts) {
    if (!with_a_journal.contains(attempt.number)) return false;
  }
  return std::includes(with_a_file.begin(), with_a_file.end(), listed.begin(), listed.end());
}

bool is_unreachable(StoreCore& core, const std::string& directory) {
  if (core.fs().status(core.layout().run(directory))) return false;
  const auto names = list_unreachable_runs(core.fs(), core.layout());
  return std::find(names.begin(), names.end(), directory) != names.end();
}

// What the files themselves say, where there is no index.
std::vector<std::string> unreadable(StoreCore& core, const RunDirectory& directory) {
  std::vector<Error> errors;
  const Listing listed = read_checkpoints(core.fs(), directory, &errors);
  std::vector<std::string> lines = lost_journals(directory, listed);
  for (const Error& error : errors) lines.emplace_back(error.what());
  return lines;
}

// What `look` finds in a run's directory and its list in the index; nothing where the index cannot
// be asked.
template <class Look>
auto ask_both(StoreCore& core, const RunRecord& run, const Look& look)
    -> std::optional<decltype(look(RunDirectory(), Listing()))> {
  RunDirectory directory = list_run(core.fs(), core.layout(), run.directory);
  Listing listed;
  const auto ask = [&](const Index& index) { listed = index.checkpoints(run.id); };
  if (!core.ask(ask)) return std::nullopt;
  auto found = look(directory, listed);
  if (found.empty()) return found;
  // A save or a prune may have come in between: once more, while nobody can.
  const StoreLock lock = core.lock();
  directory = list_run(core.fs(), core.layout(), run.directory);
  found.clear();
  if (core.ask_if_trusted(lock, ask)) found = look(directory, listed);
  return found;
}

}  // namespace

std::vector<std::string> missing_checkpoints(StoreCore& core, const RunRecord& run) {
  if (is_unreachable(core, run.directory)) {
    return {leads_nowhere(core.layout(), run.directory).what()};
  }
  std::vector<std::string> lines;
  if (!agree(core, run)) {
    auto found = ask_both(core, run, compare);
    lines = found ? std::move(*found)
                  : unreadable(core, list_run(core.fs(), core.layout(), run.directory));
  }
  if (!known_facts(core.fs(), core.layout(), core.uuid())) {
    lines.push_back(
        fmt::format("{}: cannot be read; tags, notes and metrics that came after the save may be "
                    "missing",
                    core.layout().marks().string()));
  }
  return lines;
}

std::vector<CheckpointRecord> lost_checkpoints(StoreCore& core, const RunRecord& run) {
  if (agree(core, run)) return {};
  return ask_both(core, run, without_file).value_or(Listing());
}

std::vector<CheckpointRecord> unlisted_checkpoints(StoreCore& core, const RunRecord& run,
                                                   std::string_view prefix) {
  std::vector<CheckpointRecord> found;
  for (const ScannedPack& pack : list_run(core.fs(), core.layout(), run.directory).packs) {
    const PackName& name = pack.name;
    if (name.state != PackState::live || !name.uuid.hex().starts_with(prefix)) continue;
    CheckpointRecord record;
    record.id = name.uuid;
    record.run = run.id;
    record.run_name = run.name;
    record.commit = name.commit;
    record.epoch = -1;
    record.step = name.step;
    found.push_back(std::move(record));
  }
  return found;
}

}  // namespace ckp

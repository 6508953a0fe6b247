#include "store/attach.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "io/host.h"
#include "store/marks.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

constexpr std::size_t longest_name = 200;
constexpr std::size_t longest_text = 64 << 10;  // all marks are one record of 16 MiB

bool is_printable(std::string_view name) {
  return std::ranges::none_of(
      name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; });
}

void check_name(const LaterFact& fact) {
  const std::string& name = fact.name;
  if (name.empty() || name.size() > longest_name || !is_utf8(name) || !is_printable(name)) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{} \"{}\": expected a name of UTF-8, 1 to {} bytes, without control "
                            "characters",
                            to_string(fact.kind), name, longest_name));
  }
  if (fact.kind == LaterFact::Kind::metric || name != mid_step_tag) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("tag \"{}\": only a save gives it; it says that the checkpoint was made "
                          "inside a step",
                          name));
}

void check_value(const LaterFact& fact) {
  const std::string* text = fact.value.get_if<std::string>();
  if (fact.kind == LaterFact::Kind::note && (text == nullptr || text->empty())) {
    throw Error(ErrorCode::invalid_argument, "a note without a text");
  }
  if (to_cbor(fact.value).size() <= longest_text) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("{} {}: longer than the {} bytes that one may have", to_string(fact.kind),
                          fact.name, longest_text));
}

LaterFact said_now(const StoreCore& core, LaterFact fact) {
  if (fact.kind != LaterFact::Kind::note) check_name(fact);
  check_value(fact);
  fact.time_ns = core.clock().now_ns();
  fact.who = fmt::format("{}@{}", user_name(), host_name());
  return fact;
}

void check_has_tag(const CheckpointRecord& checkpoint, const LaterFact& fact) {
  if (fact.kind != LaterFact::Kind::tag_removed || checkpoint.tags.contains(fact.name)) return;
  std::string others;
  for (const auto& [name, value] : checkpoint.tags) others += (others.empty() ? "" : ", ") + name;
  throw Error(ErrorCode::not_found,
              fmt::format("checkpoint {} of run {} has no tag '{}'; its tags: {}",
                          checkpoint.id.short_hex(), checkpoint.run_name, fact.name,
                          others.empty() ? "none" : others));
}

// C4, M2 and M3, C7 and C8. The block announces it first: killed before the index has heard of it,
// the next process compares all rows with the marks.
void commit_marks(StoreCore& core, StoreLock& lock, const std::string& directory,
                  const Marks& marks, bool is_listed,
                  const std::function<void(IndexUpdate&)>& change) {
  lock.begin(directory);
  write_marks(core.fs(), core.layout(), core.uuid(), marks);
  core.finish_commit(lock, is_listed, change);
}

}  // namespace

CheckpointRecord attach(StoreCore& core, const Uuid& checkpoint, std::span<const LaterFact> facts) {
  core.check_writable();
  StoreLock lock = core.lock();  // M1
  Marks marks = read_marks(core);
  const auto file = find_live(core, checkpoint);
  if (!file) {
    throw Error(ErrorCode::not_found,
                fmt::format("{}: checkpoint {} is gone; nothing was changed",
                            core.layout().root.string(), checkpoint.short_hex()));
  }
  CheckpointRecord record = read_checkpoint(core.fs(), *file).record;
  marks.facts.apply_to(record);
  for (const LaterFact& fact : facts) {
    const LaterFact said = said_now(core, fact);
    check_has_tag(record, said);
    apply(said, record);
    marks.facts.checkpoints[checkpoint].push_back(said);
  }
  if (facts.empty()) return record;
  // One whose run came back after the index was made is not: a resync brings in all of it.
  bool is_listed = false;
  core.ask_if_trusted(
      lock, [&](const Index& index) { is_listed = index.checkpoint(checkpoint).has_value(); });
  commit_marks(core, lock, file->path.parent_path().filename().string(), marks, is_listed,
               [&](IndexUpdate& update) { update.put_checkpoint(record); });
  return record;
}

RunRecord attach_note(StoreCore& core, const RunRecord& run, const std::string& text) {
  core.check_writable();
  StoreLock lock = core.lock();  // M1
  Marks marks = read_marks(core);
  const RunDirectory directory = list_run(core.fs(), core.layout(), run.directory);
  auto record = read_run(core.fs(), directory);
  if (!record || record->id != run.id) {
    throw Error(ErrorCode::not_found, fmt::format("{}: run {} is gone; nothing was changed",
                                                  core.layout().root.string(), run.name));
  }
  const LaterFact said = said_now(core, {.kind = LaterFact::Kind::note, .value = text});
  marks.facts.runs[run.id].push_back(said);
  marks.facts.apply_to(*record);
  // The end of a run reaches its journal before the index: what that knows of it stays.
  std::optional<RunRecord> listed;
  core.ask_if_trusted(lock, [&](const Index& index) { listed = index.run(run.id); });
  if (listed) listed->later = record->later;
  commit_marks(core, lock, run.directory, marks, listed.has_value(),
               [&](IndexUpdate& update) { update.put_run(*listed); });
  RunRecord noted = run;
  noted.later = record->later;
  return noted;
}

}  // namespace ckp

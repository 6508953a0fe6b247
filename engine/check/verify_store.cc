// Verifying a whole store: journals, packs, references, index.
#include "check/verify_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "check/finding.h"
#include "check/pack_check.h"
#include "check/progress_counter.h"
#include "ckp/error.h"
#include "retention/snapshot.h"
#include "runs/journal.h"

namespace ckp {
namespace {

class StoreVerifier {
 public:
  StoreVerifier(StoreCore& core, const VerifyOptions& options)
      : core_(core),
        options_(options),
        snapshot_(take_snapshot(core, cache_)),
        counter_(options, total_bytes()) {}

  VerifyReport run() {
    for (const RunFacts& run : snapshot_.runs) check_journals(run);
    for (const auto& [uuid, pack] : snapshot_.packs) {
      if (counter_.cancelled()) break;
      check_one_pack(uuid, pack);
    }
    check_repeated();
    check_references();
    check_index();
    note_garbage();
    report_.bytes = counter_.done();
    report_.complete = !counter_.cancelled();
    return std::move(report_);
  }

 private:
  std::uint64_t total_bytes() const {
    std::uint64_t total = 0;
    for (const auto& [uuid, pack] : snapshot_.packs) total += pack.size;
    return total;
  }

  void add_finding(const std::string& path, const RunFacts& run, std::string message) {
    Finding finding;
    finding.path = path;
    if (run.record) finding.run = run.record->name;
    finding.message = std::move(message);
    report_.findings.push_back(std::move(finding));
  }

  // Below the highest mark of a checkpoint a journal is complete, or damaged. Above it a gap that
  // reaches the end is what a crash leaves.
  void check_journals(const RunFacts& run) {
    if (run.record) ++report_.runs;
    const RunJournals journals = read_journals(core_.fs(), run.directory.path, run.directory.names);
    const auto marks = highest_marks(run);
    std::set<Uuid> present;
    for (const RunJournals::File& file : journals.files) {
      const auto name = parse_journal_name(file.name);
      if (name) present.insert(name->journal);
      const auto mark = name ? marks.find(name->journal) : marks.end();
      check_journal(run, file, mark == marks.end() ? nullptr : &mark->second);
    }
    for (const auto& [journal, mark] : marks) {
      if (present.contains(journal)) continue;
      add_finding(run.directory.path.string(), run,
                  fmt::format("journal {} is missing; {} bytes of it were written when a "
                              "checkpoint was saved",
                              journal.hex(), mark.length));
    }
  }

  static std::map<Uuid, JournalMark> highest_marks(const RunFacts& run) {
    std::map<Uuid, JournalMark> marks;
    for (const CheckpointRecord& checkpoint : run.checkpoints) {
      if (!checkpoint.journal) continue;
      JournalMark& highest = marks[checkpoint.journal->journal];
      if (checkpoint.journal->length >= highest.length) highest = *checkpoint.journal;
    }
    return marks;
  }

  void check_journal(const RunFacts& run, const RunJournals::File& file, const JournalMark* mark) {
    const std::string path = (run.directory.path / file.name).string();
    if (!file.error.empty() && mark == nullptr && file.size < format::JournalHeader::size) {
      report_.notes.push_back(
          fmt::format("{}: left by an attempt that died before its first record", path));
      return;
    }
    if (!file.error.empty()) return add_finding(path, run, file.error);
    if (mark != nullptr) {
      const std::string difference = check_mark(core_.fs(), path, *mark);
      if (!difference.empty()) add_finding(path, run, difference);
    }
    const std::uint64_t marked = mark != nullptr ? mark->length : 0;
    for (const auto& gap : file.gaps) {
      if (gap.offset < marked) continue;  // told by the mark
      const std::string where = fmt::format("bytes {} to {}: {}", gap.offset, gap.end, gap.reason);
      if (gap.end == file.size) {
        report_.notes.push_back(fmt::format("{}: torn tail, {}", path, where));
      } else {
        add_finding(path, run, where);
      }
    }
  }

  void check_one_pack(const Uuid& uuid, const PackFacts& pack) {
    const std::string path = pack.file.path.string();
    try {
      const FileSource source(
          std::shared_ptr<const File>(core_.fs().open(pack.file.path, OpenMode::read)));
      const PackCheck check = check_pack(source, options_.level, options_.threads,
                                         [&](std::uint64_t bytes) { return counter_.add(bytes); });
      ++report_.packs;
      report_.chunks += check.chunks;
      if (pack.file.name.state == PackState::live) ++report_.checkpoints;
      for (const PackProblem& problem : check.problems)
        add_problem(path, uuid, pack, problem, check);
      if (check.problems.empty() && !pack.readable) read_checkpoint(core_.fs(), pack.file);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::not_found) return;  // pruned since the listing
      add_finding(path, snapshot_.runs[pack.run], error.what());
    }
  }

  void check_repeated() {
    for (const auto& path : snapshot_.repeated) {
      Finding finding;
      finding.path = path.string();
      finding.message = fmt::format(
          "{}: another file of the store is the same pack; this one was copied here, move it away",
          path.string());
      report_.findings.push_back(std::move(finding));
    }
  }

  // A damaged chunk is told once, for the first live checkpoint that uses it.
  void add_problem(const std::string& path, const Uuid& uuid, const PackFacts& pack,
                   const PackProblem& problem, const PackCheck& check) {
    if (problem.chunk < 0) {
      Finding finding = make_finding(path, problem);
      finding.run = run_name(pack);
      if (check.manifest) {
        finding = make_finding(path, problem, uuid, pack.record, *check.manifest);
      }
      report_.findings.push_back(std::move(finding));
      return;
    }
    std::vector<Finding> hits;
    for (const auto& [user, facts] : snapshot_.packs) {
      if (facts.file.name.state != PackState::live) continue;
      if (user != uuid && !facts.needs.contains(uuid)) continue;
      if (user == uuid && !check.manifest) continue;
      Finding finding = user == uuid
                            ? make_finding(path, problem, uuid, facts.record, *check.manifest)
                            : finding_of_user(path, problem, uuid, facts);
      if (!finding.tensor.empty()) hits.push_back(std::move(finding));
    }
    if (hits.empty()) hits.push_back(make_finding(path, problem));
    hits.front().other_checkpoints = hits.size() - 1;
    report_.findings.push_back(std::move(hits.front()));
  }

  Finding finding_of_user(const std::string& path, const PackProblem& problem, const Uuid& damaged,
                          const PackFacts& user) {
    try {
      const ScannedCheckpoint checkpoint = read_checkpoint(core_.fs(), user.file);
      return make_finding(path, problem, damaged, checkpoint.record, checkpoint.manifest);
    } catch (const Error&) {
      return make_finding(path, problem);  // that checkpoint's own damage is told elsewhere
    }
  }

  std::string run_name(const PackFacts& pack) const {
    const auto& run = snapshot_.runs[pack.run];
    return run.record ? run.record->name : run.directory.name;
  }

  // Every reference of a live checkpoint has a pack with such a chunk.
  void check_references() {
    std::map<Uuid, std::optional<OpenPack>> opened;
    for (const auto& [uuid, pack] : snapshot_.packs) {
      if (pack.file.name.state != PackState::live || pack.needs.empty()) continue;
      try {
        check_references_of(read_checkpoint(core_.fs(), pack.file), pack, opened);
      } catch (const Error&) {
        // Unreadable or pruned: told by check_one_pack, or no longer of interest.
      }
    }
  }

  void check_references_of(const ScannedCheckpoint& checkpoint, const PackFacts& pack,
                           std::map<Uuid, std::optional<OpenPack>>& opened) {
    std::uint64_t missing = 0;
    Finding finding;
    for (const auto& reference : checkpoint.manifest.references) {
      const Uuid& target = reference.address.pack;
      if (target.is_nil() || has_chunk(opened, snapshot_.runs[pack.run].directory.name, reference))
        continue;
      if (missing++ > 0) continue;
      const PackProblem problem{
          reference.address.number, -1,
          fmt::format("chunk {} of pack {}, which this checkpoint refers to, is missing",
                      reference.address.number, target.hex())};
      finding = make_finding(pack.file.path.string(), problem, target, checkpoint.record,
                             checkpoint.manifest);
    }
    if (missing == 0) return;
    if (missing > 1) finding.message += fmt::format(" ({} more chunks are)", missing - 1);
    report_.findings.push_back(std::move(finding));
  }

  bool has_chunk(std::map<Uuid, std::optional<OpenPack>>& opened, const std::string& directory,
                 const format::ChunkReference& reference) {
    const auto [at, is_new] = opened.try_emplace(reference.address.pack);
    if (is_new) {
      // Listed anew: a pack may have been committed after its directory was, and before this
      // checkpoint's.
      const auto file = find_pack(core_.fs(), core_.layout(), directory, reference.address.pack);
      missing_[reference.address.pack] = !file;
      if (!file) return false;
      try {
        at->second = open_pack(core_.fs(), file->path);
      } catch (const Error&) {
        // Its own damage is told by check_one_pack; what it holds is unknown.
      }
    }
    if (missing_[reference.address.pack]) return false;
    if (!at->second) return true;
    const auto* entry = at->second->directory.find_chunk(reference.address.number);
    return entry != nullptr && entry->raw_digest == reference.raw_digest;
  }

  // An index that was not trusted has been rebuilt by the time it can be asked.
  void check_index() {
    std::vector<std::string> lines;
    core_.ask([&](const Index& index) { lines = index.check(); });
    for (std::string& line : lines) {
      Finding finding;
      finding.path = core_.layout().index().string();
      finding.message = std::move(line) + "; run: ckptool rebuild-index";
      report_.findings.push_back(std::move(finding));
    }
  }

  void note_garbage() {
    std::uint64_t bytes = 0, files = 0;
    for (const LooseFile& file : snapshot_.loose) {
      if (file.held) continue;
      bytes += file.size;
      ++files;
    }
    if (files == 0) return;
    report_.notes.push_back(
        fmt::format("{} files ({} bytes) were left by saves that died; the next prune removes them",
                    files, bytes));
  }

  StoreCore& core_;
  const VerifyOptions& options_;
  PackCache cache_;
  Snapshot snapshot_;
  ProgressCounter counter_;
  VerifyReport report_;
  std::map<Uuid, bool> missing_;  // packs that are referred to and have no file
};

}  // namespace

VerifyReport verify_store(StoreCore& core, const VerifyOptions& options) {
  return StoreVerifier(core, options).run();
}

}  // namespace ckp

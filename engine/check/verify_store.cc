// Verifying a whole store: journals, packs, references, index.
#include "check/verify_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "check/finding.h"
#include "check/index_check.h"
#include "check/index_obstacles.h"
#include "check/journal_check.h"
#include "check/pack_check.h"
#include "check/reference_check.h"
#include "ckp/error.h"
#include "ckp/shell_word.h"
#include "retention/snapshot.h"
#include "runs/record_codec.h"
#include "store/identity.h"
#include "store/marks.h"

namespace ckp {
namespace {

class StoreVerifier {
 public:
  StoreVerifier(StoreCore& core, const VerifyOptions& options)
      : core_(core),
        options_(options),
        scope_{options.level, {options.subset, options.seed}},
        index_(core) {}

  VerifyReport run() {
    check_identity();
    add_obstacles();
    index_.look_before();
    snapshot_ = take_snapshot(core_, cache_);
    ProgressCounter counter(options_, bytes_to_check());
    for (const RunFacts& run : snapshot_.runs) check_journals_of(run);
    check_all_packs(counter);
    add_unreachable();
    check_marks();
    if (!counter.stopped()) check_the_rest();
    note_garbage();
    report_.bytes = std::min(counter.done(), counter.total());
    report_.bytes_total = counter.total();
    report_.complete = !counter.stopped();
    report_.timed_out = counter.timed_out();
    return std::move(report_);
  }

 private:
  std::uint64_t bytes_to_check() const {
    std::uint64_t total = 0;
    for (const auto& [uuid, pack] : snapshot_.packs) total += pack.size;
    if (scope_.share.is_all() || options_.level == VerifyLevel::structure) return total;
    return static_cast<std::uint64_t>(static_cast<double>(total) * scope_.share.share());
  }

  void add_finding(const std::string& path, const std::string& run, std::string message) {
    Finding finding;
    finding.path = path;
    finding.run = run;
    finding.message = std::move(message);
    report_.findings.push_back(std::move(finding));
  }

  void check_journals_of(const RunFacts& run) {
    if (run.record) ++report_.runs;
    JournalCheck check = check_journals(core_.fs(), run);
    if (!check.problems.empty()) index_.pass_over(run.directory.run);
    for (JournalProblem& problem : check.problems) {
      add_finding(problem.path, run.record ? run.record->name : "", std::move(problem.message));
    }
    const auto append = [](auto& to, auto& from) { to.insert(to.end(), from.begin(), from.end()); };
    append(report_.notes, check.notes);
    append(report_.newer, check.newer);
  }

  // With a share, from another pack on for each seed: what a time limit cuts off is not always the
  // same.
  std::vector<const PackFacts*> packs_in_order() const {
    std::vector<const PackFacts*> packs;
    for (const auto& [uuid, pack] : snapshot_.packs) packs.push_back(&pack);
    if (!scope_.share.is_all() && !packs.empty()) {
      const auto first = static_cast<std::ptrdiff_t>(options_.seed % packs.size());
      std::rotate(packs.begin(), packs.begin() + first, packs.end());
    }
    return packs;
  }

  void check_all_packs(ProgressCounter& counter) {
    const std::vector<const PackFacts*> packs = packs_in_order();
    std::vector<std::filesystem::path> files;
    for (const PackFacts* pack : packs) files.push_back(pack->file.path);
    check_packs(core_.fs(), files, scope_, options_.threads, counter,
                [&](std::size_t i, PackCheck& check) { take(*packs[i], check); });
  }

  // The store is open; what stands behind the file's end has kept nobody from that.
  void check_identity() {
    const std::string path = core_.layout().identity().string();
    try {
      read_whole_identity(core_.fs(), core_.layout());
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::not_found) throw;
      add_finding(path, "", error.what());
    }
  }

  // Before the index is asked, which moves them.
  void add_obstacles() {
    for (const auto& path : index_obstacles(core_)) {
      add_finding(path.string(), "",
                  fmt::format("{}: a file lies where the index belongs", path.string()));
    }
  }

  void add_unreachable() {
    for (const UnreachableFile& file : snapshot_.unreachable) {
      add_finding(file.facts.file.path.string(), run_name(file.facts), file.what_is_wrong());
      name_pack(report_.findings.back(), file.facts);
    }
    for (const std::string& run : snapshot_.unreachable_runs) {
      add_finding(core_.layout().run(run).string(), run, leads_nowhere(core_.layout(), run).what());
    }
  }

  void check_marks() {
    const std::string path = core_.layout().marks().string();
    MarksFile file;
    try {
      file = look_at_marks(core_.fs(), core_.layout(), core_.uuid());
    } catch (const Error& error) {
      if (error.code() == ErrorCode::newer_format) {
        report_.newer.push_back(error.what());
      } else if (error.code() == ErrorCode::read_only) {
        report_.denied.push_back(error.what());
      } else {
        throw;
      }
      return;
    }
    if (!file.problem.empty()) add_finding(path, "", file.problem);
    if (file.marks) check_aliases(path, current_aliases(file.marks->aliases));
  }

  // One that was given to a checkpoint since the snapshot was taken is looked for again.
  void check_aliases(const std::string& path, const std::map<std::string, AliasChange>& aliases) {
    for (const auto& [name, change] : aliases) {
      const auto pack = snapshot_.packs.find(*change.to);
      const bool known = pack != snapshot_.packs.end();
      if (known && pack->second.file.name.state == PackState::live) continue;
      if (!known && find_live(core_, *change.to)) continue;
      add_finding(path, "",
                  fmt::format("{}: alias {} points at checkpoint {}, which is not in the store; "
                              "give it to another one: ckptool promote {} ADDRESS {}",
                              path, name, change.to->hex(),
                              shell_word(core_.layout().root.string()), name));
      report_.findings.back().checkpoint = change.to->hex();
      report_.findings.back().alias = true;
    }
  }

  void take(const PackFacts& pack, PackCheck& check) {
    const std::string path = pack.file.path.string();
    if (check.refused) {
      const std::string why = check.refused->what();
      if (check.refused->code() == ErrorCode::newer_format) {
        report_.newer.push_back(why);
      } else if (check.refused->code() == ErrorCode::read_only) {
        report_.denied.push_back(why);
      } else {
        add_finding(path, run_name(pack), why);
      }
      return;
    }
    ++report_.packs;
    report_.chunks += check.chunks;
    const bool live = pack.file.name.state == PackState::live;
    if (live) ++report_.checkpoints;
    if (!check.problems.empty()) {
      add_problems(pack, check);
    } else if (pack.file.name.is_kept() && check.directory->manifests.empty()) {
      add_finding(
          path, run_name(pack),
          fmt::format("{}: the name is a checkpoint's, but the file has no manifest", path));
    } else if (pack.file.name.is_kept() && pack.record.id.is_nil()) {
      check_name(pack, path);
    } else if (live) {
      CheckpointRecord record = pack.record;
      index_.expect(record.id, rows_of_pack(record, *check.directory));
    }
  }

  // A sound file that is not what its name says.
  void check_name(const PackFacts& pack, const std::string& path) {
    try {
      read_checkpoint(core_.fs(), pack.file);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::not_found) return;  // pruned since the listing
      if (error.code() == ErrorCode::out_of_resources) throw;
      add_finding(path, run_name(pack), error.what());
    }
  }

  std::string run_name(const PackFacts& pack) const {
    const auto& run = snapshot_.runs[pack.run];
    return run.record ? run.record->name : run.directory.name;
  }

  // A pack whose ends are damaged could not be opened; the records that a scan found in it tell
  // what it is.
  static CheckpointRecord record_of(const PackFacts& pack, const PackCheck& check) {
    if (!pack.record.id.is_nil()) return pack.record;
    CheckpointRecord record = record_from_facts(check.manifest->checkpoint);
    record.id = pack.file.name.uuid;
    record.commit = pack.file.name.commit;
    return record;
  }

  // Directory and file name tell what a file without a readable manifest was.
  void name_pack(Finding& finding, const PackFacts& pack) const {
    if (finding.run.empty()) finding.run = run_name(pack);
    if (finding.checkpoint.empty()) finding.checkpoint = pack.file.name.uuid.hex();
    if (finding.step < 0) finding.step = pack.file.name.step;
  }

  // A damaged chunk is told once, for the first live checkpoint that uses it.
  void add_problems(const PackFacts& pack, const PackCheck& check) {
    const std::string path = pack.file.path.string();
    const Uuid& uuid = pack.file.name.uuid;
    std::vector<std::vector<Finding>> hits(check.problems.size());
    for_each_user(pack, check, [&](const CheckpointRecord& record, const auto& manifest) {
      for (std::size_t i = 0; i < hits.size(); ++i) {
        if (check.problems[i].chunk < 0) continue;
        Finding finding = make_finding(path, check.problems[i], uuid, record, manifest);
        if (!finding.tensor.empty()) hits[i].push_back(std::move(finding));
      }
    });
    for (std::size_t i = 0; i < hits.size(); ++i) {
      const bool whole_file = check.problems[i].chunk < 0 && check.manifest;
      Finding finding = !hits[i].empty() ? hits[i].front()
                        : whole_file     ? make_finding(path, check.problems[i], uuid,
                                                        record_of(pack, check), *check.manifest)
                                         : make_finding(path, check.problems[i]);
      if (hits[i].size() > 1) finding.other_checkpoints = hits[i].size() - 1;
      if (check.problems[i].chunk < 0) name_pack(finding, pack);
      report_.findings.push_back(std::move(finding));
    }
  }

  // Live and trashed checkpoints that may use chunks of `pack`, itself first, with their manifests.
  template <class Visit>
  void for_each_user(const PackFacts& pack, const PackCheck& check, const Visit& visit) const {
    const bool chunks_hit = std::any_of(check.problems.begin(), check.problems.end(),
                                        [](const PackProblem& p) { return p.chunk >= 0; });
    if (!chunks_hit) return;
    const Uuid& uuid = pack.file.name.uuid;
    if (pack.file.name.is_kept() && check.manifest) {
      visit(record_of(pack, check), *check.manifest);
    }
    for (const auto& [user, facts] : snapshot_.packs) {
      if (!facts.file.name.is_kept() || !facts.needs.contains(uuid)) continue;
      try {
        const ScannedCheckpoint checkpoint = read_checkpoint(core_.fs(), facts.file);
        visit(checkpoint.record, checkpoint.manifest);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::out_of_resources) throw;
        // That checkpoint's own damage is told elsewhere.
      }
    }
  }

  void check_the_rest() {
    for (const auto& path : snapshot_.repeated) {
      add_finding(path.string(), "",
                  fmt::format("{}: another file of the store is the same pack; this one was "
                              "copied here, move it away",
                              path.string()));
    }
    auto missing = check_references(core_, snapshot_, options_.threads);
    std::move(missing.begin(), missing.end(), std::back_inserter(report_.findings));
    index_.check_itself(true);
    index_.compare(cache_);
    IndexCheck check = index_.result();
    for (const LostCheckpoint& lost : check.lost) add_lost(lost);
    for (std::string& line : check.damage) {
      add_finding(core_.index_layout().index().string(), "", std::move(line));
      report_.findings.back().index = true;
    }
    report_.notes.insert(report_.notes.end(), check.notes.begin(), check.notes.end());
  }

  void add_lost(const LostCheckpoint& lost) {
    add_finding(lost.path, lost.record.run_name,
                fmt::format("{}: the file is missing: the index lists this checkpoint, and it was "
                            "neither pruned nor removed",
                            lost.path));
    Finding& finding = report_.findings.back();
    finding.checkpoint = lost.record.id.hex();
    finding.epoch = lost.record.epoch;
    finding.step = lost.record.step;
  }

  void note_garbage() {
    std::uint64_t bytes = 0, files = 0;
    for (const LooseFile& file : snapshot_.loose) {
      if (file.held) continue;
      bytes += file.size;
      ++files;
    }
    if (files == 0) return;
    report_.notes.push_back(fmt::format(
        "{} ({} bytes) left by saves that died; the next prune removes {}",
        files == 1 ? "1 file" : fmt::format("{} files", files), bytes, files == 1 ? "it" : "them"));
  }

  StoreCore& core_;
  const VerifyOptions& options_;
  const CheckScope scope_;
  IndexChecker index_;
  PackCache cache_;
  Snapshot snapshot_;
  VerifyReport report_;
};

}  // namespace

VerifyReport verify_store(StoreCore& core, const VerifyOptions& options) {
  return StoreVerifier(core, options).run();
}

}  // namespace ckp

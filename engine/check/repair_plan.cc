#include "check/repair_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "check/index_obstacles.h"
#include "check/mend_journal.h"
#include "check/salvage.h"
#include "ckp/error.h"
#include "runs/record_codec.h"

namespace ckp {
namespace {

class Planner {
 public:
  Planner(StoreCore& core, const RepairOptions& options)
      : core_(core), options_(options), index_(core) {}

  RepairPlan run(std::optional<NewIdentity> identity) {
    if (identity) plan_identity(*std::move(identity));
    plan_marks();
    index_.look_before();
    found_ = survey(core_, options_);
    plan_.report.complete = found_.complete;
    if (!found_.complete) return std::move(plan_);
    if (found_.put_backs.moves.empty()) {
      plan_files();
    } else {
      plan_moves();
    }
    plan_obstacles();
    plan_index();
    return std::move(plan_);
  }

 private:
  void plan_files() {
    note_salvaged();
    plan_journals();
    for (const auto& [uuid, patient] : found_.patients) plan_patient(uuid, patient);
    for (const auto& [uuid, pack] : found_.snapshot.packs) {
      if (!found_.patients.contains(uuid)) plan_dependent(pack);
    }
    for (const auto& path : found_.misplaced) leave_misplaced(path);
    for (const auto& path : found_.snapshot.repeated) plan_repeated(path);
    for (const UnreadableFile& file : found_.unreadable) {
      const auto step = add_step(RepairAction::leave, file.path, file.why);
      plan_.report.steps[step].damage = file.damage;
    }
  }

  void plan_moves() {
    for (PutBack& move : found_.put_backs.moves) {
      const auto step = add_step(RepairAction::put_back, move.from.string(), move.message);
      plan_.report.steps[step].run = move.run;
      plan_.report.steps[step].restores = true;
      plan_.moves.push_back(std::move(move));
    }
  }

  std::size_t add_step(RepairAction action, std::string path, std::string message) {
    RepairStep step;
    step.action = action;
    step.path = std::move(path);
    step.message = std::move(message);
    plan_.report.steps.push_back(std::move(step));
    return plan_.report.steps.size() - 1;
  }

  void plan_identity(NewIdentity identity) {
    const auto step = add_step(RepairAction::rewrite_identity, core_.layout().identity().string(),
                               identity.problem);
    plan_.report.steps[step].restores = true;
    plan_.identity = std::move(identity);
  }

  void plan_marks() {
    MarksFile file = look_at_marks(core_.fs(), core_.layout(), core_.uuid());
    if (file.problem.empty()) return;
    if (file.away) {
      add_step(RepairAction::leave, core_.layout().marks().string(), file.problem);
      return;
    }
    const auto step =
        add_step(RepairAction::mend_marks, core_.layout().marks().string(), file.problem);
    plan_.report.steps[step].restores = file.marks.has_value();
    plan_.marks = MarksMend{std::move(file.marks).value_or(Marks{}), file.seen};
  }

  // A repair that was interrupted may have made them already.
  void note_salvaged() {
    for (const auto& [uuid, pack] : found_.snapshot.packs) {
      if (pack.file.name.state == PackState::live && pack.record.salvaged_from) {
        salvaged_.insert(*pack.record.salvaged_from);
      }
    }
  }

  // Marks of checkpoints whose packs are damaged count, too.
  RunFacts with_patients(RunFacts run) const {
    for (const auto& [uuid, patient] : found_.patients) {
      if (!is_live(patient) || !patient.manifest || has_record(patient)) continue;
      if (patient.facts->file.path.parent_path() != run.directory.path) continue;
      run.checkpoints.push_back(record_of(patient));
    }
    return run;
  }

  static bool is_live(const Patient& patient) {
    return patient.facts != nullptr && patient.facts->file.name.state == PackState::live;
  }
  static bool is_in_trash(const Patient& patient) {
    return patient.facts != nullptr && patient.facts->file.name.in_trash();
  }
  static bool has_record(const Patient& patient) { return !patient.facts->record.id.is_nil(); }
  static CheckpointRecord record_of(const Patient& patient) {
    return describe(*patient.content, *patient.manifest, patient.facts->file.name.commit);
  }

  std::map<std::string, std::optional<FileStatus>> journals_now(const RunDirectory& run) const {
    std::map<std::string, std::optional<FileStatus>> seen;
    for (const std::string& name : run.names) {
      const auto path = run.path / name;
      if (parse_journal_name(name)) seen[path.string()] = core_.fs().status(path);
    }
    return seen;
  }

  // Copying it aside could fill the disk.
  std::string why_not_mended(const JournalProblem& problem) const {
    const auto stuck = found_.put_backs.stuck.find(problem.path);
    if (stuck != found_.put_backs.stuck.end()) return stuck->second;
    const auto status = core_.fs().status(problem.path);
    if (!status || status->size <= max_journal_size) return {};
    return "move it away, then repair again";
  }

  void plan_journals() {
    for (const RunFacts& run : found_.snapshot.runs) {
      const auto seen = journals_now(run.directory);
      JournalCheck check = check_journals(core_.fs(), with_patients(run));
      if (!check.newer.empty()) throw Error(ErrorCode::newer_format, check.newer.front());
      const bool held = !check.problems.empty() &&
                        run_is_held(core_.fs(), run.directory.path, run.directory.names);
      if (!check.problems.empty()) index_.pass_over(run.directory.run);
      for (JournalProblem& problem : check.problems) {
        const std::string why_not = problem.away ? ""
                                    : held ? "a process is training this run: repair again when it "
                                             "has ended"
                                           : why_not_mended(problem);
        const bool leave = problem.away || !why_not.empty();
        const auto step = add_step(
            leave ? RepairAction::leave : RepairAction::mend_journal, problem.path,
            why_not.empty() ? problem.message : fmt::format("{}; {}", problem.message, why_not));
        plan_.report.steps[step].run = run.record ? run.record->name : "";
        if (leave) continue;
        const MendedJournal mended = mend_journal(core_.fs(), problem, run.directory.run);
        plan_.report.steps[step].restores = mended.restores;
        if (!mended.restores) {
          plan_.report.steps[step].message += fmt::format(
              "; {} of it {} kept, {} bytes are lost",
              mended.records == 1 ? "1 record" : fmt::format("{} records", mended.records),
              mended.records == 1 ? "is" : "are", mended.lost);
        }
        const auto status = seen.find(problem.path);
        plan_.journals.push_back({step, std::move(problem),
                                  status == seen.end() ? std::nullopt : status->second,
                                  run.directory.name, run.directory.run});
      }
    }
  }

  PackRepair& add_pack(RepairAction action, const Uuid& uuid, const PackFacts* facts,
                       const CheckpointRecord* record) {
    PackRepair repair;
    repair.uuid = uuid;
    repair.step = add_step(action, facts != nullptr ? facts->file.path.string() : uuid.hex(), "");
    if (facts != nullptr) {
      repair.file = facts->file;
      repair.seen = core_.fs().status(facts->file.path);
      repair.directory = facts->file.path.parent_path().filename().string();
      const auto& run = found_.snapshot.runs[facts->run];
      step_of(repair).run = run.record ? run.record->name : "";
    }
    if (record != nullptr) {
      RepairStep& step = step_of(repair);
      step.run = record->run_name;
      step.checkpoint = record->id.hex();
      step.epoch = record->epoch;
      step.step = record->step;
    }
    plan_.packs.push_back(std::move(repair));
    return plan_.packs.back();
  }

  RepairStep& step_of(const PackRepair& repair) { return plan_.report.steps[repair.step]; }

  std::uint64_t count_lost(const Uuid& pack) const {
    return static_cast<std::uint64_t>(
        std::count_if(found_.lost.begin(), found_.lost.end(),
                      [&](const format::ChunkAddress& one) { return one.pack == pack; }));
  }

  // Whether a manifest's chunks are all there, or will be.
  bool is_whole(const format::Manifest& manifest, const Uuid& own, const auto& has_own) const {
    return std::all_of(manifest.references.begin(), manifest.references.end(),
                       [&](const format::ChunkReference& reference) {
                         const Uuid& pack = reference.address.pack;
                         if (pack.is_nil() || pack == own) return has_own(reference);
                         return !found_.lost.contains(reference.address);
                       });
  }

  static std::map<std::uint32_t, ChunkSource> chunks_of(const Patient& patient) {
    std::map<std::uint32_t, ChunkSource> chunks = patient.twins;
    if (!patient.content) return chunks;
    for (const format::TableEntry& entry : patient.content->directory.chunks) {
      if (!patient.bad.contains(entry.number)) {
        chunks.try_emplace(entry.number, ChunkSource{patient.content, entry});
      }
    }
    return chunks;
  }

  void plan_patient(const Uuid& uuid, const Patient& patient) {
    auto chunks = chunks_of(patient);
    if (patient.facts == nullptr && chunks.empty()) return;  // its users are told
    const bool live = is_live(patient);
    std::optional<CheckpointRecord> record;
    if (live && patient.manifest) record = record_of(patient);
    const bool whole =
        patient.manifest && is_whole(*patient.manifest, uuid, [&](const auto& reference) {
          return chunks.contains(reference.address.number);
        });
    // What is in the trash is not salvaged: nobody wanted it. It leaves the trash.
    const bool checkpoint_lost = (live || is_in_trash(patient)) && !whole;
    const RepairAction action = live && !whole && patient.manifest ? RepairAction::salvage
                                : chunks.empty() && !whole         ? RepairAction::set_aside
                                : checkpoint_lost                  ? RepairAction::keep_chunks
                                                                   : RepairAction::mend_pack;
    PackRepair& repair = add_pack(action, uuid, patient.facts, record ? &*record : nullptr);
    if (patient.facts == nullptr) repair.directory = directory_of_user(patient);
    repair.rewrite = !chunks.empty() || whole;
    repair.retire = checkpoint_lost && repair.rewrite;
    repair.remove = !repair.rewrite && patient.facts != nullptr;
    repair.header = new_header(uuid, patient);
    repair.chunks = std::move(chunks);
    if (whole) repair.manifest = patient.manifest;
    if (whole && live) repair.record = std::move(*record);
    RepairStep& step = step_of(repair);
    step.chunks_mended = patient.twins.size();
    step.chunks_lost = count_lost(uuid);
    step.restores = action == RepairAction::mend_pack && step.chunks_lost == 0;
    step.message = first_of(patient.messages);
    if (action == RepairAction::set_aside) step.message += "; nothing in it can be used";
    if (action == RepairAction::salvage) add_salvage(repair, *patient.manifest, *record);
  }

  static std::string first_of(const std::vector<std::string>& messages) {
    if (messages.empty()) return {};
    if (messages.size() == 1) return messages.front();
    return fmt::format("{} (and {} more)", messages.front(), messages.size() - 1);
  }

  std::string directory_of_user(const Patient& patient) const {
    const PackFacts& user = found_.snapshot.packs.at(patient.users.front());
    return user.file.path.parent_path().filename().string();
  }

  static format::PackHeader new_header(const Uuid& uuid, const Patient& patient) {
    format::PackHeader header;
    if (patient.content) {
      header = patient.content->directory.header;
      ++header.generation;
    }
    header.versions = {};
    header.uuid = uuid;
    header.may_use = format::pack_features;
    return header;
  }

  // A checkpoint in a sound file, which has lost chunks in other packs.
  void plan_dependent(const PackFacts& pack) {
    if (!pack.file.name.is_kept()) return;
    const bool hit = std::any_of(found_.lost.begin(), found_.lost.end(),
                                 [&](const auto& one) { return pack.needs.contains(one.pack); });
    if (!hit) return;
    const auto manifest = manifest_of(core_, found_, pack);
    if (!manifest) return;
    const Uuid& uuid = pack.file.name.uuid;
    if (is_whole(*manifest, uuid, [](const auto&) { return true; })) return;
    const bool live = pack.file.name.state == PackState::live;
    PackRepair& repair = add_pack(live ? RepairAction::salvage : RepairAction::keep_chunks, uuid,
                                  &pack, &pack.record);
    repair.retire = true;
    RepairStep& step = step_of(repair);
    for (const format::ChunkReference& reference : manifest->references) {
      if (found_.lost.contains(reference.address)) ++step.chunks_lost;
    }
    step.message = fmt::format("{}: refers to {}, lost", pack.file.path.string(),
                               step.chunks_lost == 1
                                   ? "1 chunk of another pack"
                                   : fmt::format("{} chunks of other packs", step.chunks_lost));
    if (live) add_salvage(repair, *manifest, pack.record);
  }

  void add_salvage(PackRepair& repair, const format::Manifest& manifest,
                   const CheckpointRecord& record) {
    Salvage saved = salvage(manifest, repair.uuid, lost_with_own(repair, manifest));
    RepairStep& step = step_of(repair);
    step.missing = saved.missing;
    step.tensors_saved = saved.manifest.tensors.size();
    if (salvaged_.contains(repair.uuid)) return;
    if (saved.manifest.tensors.empty() && saved.manifest.values.empty()) return;
    repair.salvaged_record = record;
    repair.salvaged_record.salvaged_from = repair.uuid;
    repair.salvaged_record.missing = std::move(saved.missing);
    repair.salvaged_record.final = false;
    repair.salvaged_record.journal.reset();
    repair.salvaged_manifest = std::move(saved.manifest);
  }

  std::set<format::ChunkAddress> lost_with_own(const PackRepair& repair,
                                               const format::Manifest& manifest) const {
    std::set<format::ChunkAddress> lost = found_.lost;
    if (!repair.rewrite && !repair.remove) return lost;  // its own file is sound
    for (const format::ChunkReference& reference : manifest.references) {
      const bool own = reference.address.pack.is_nil() || reference.address.pack == repair.uuid;
      if (own && !repair.chunks.contains(reference.address.number)) {
        lost.insert({repair.uuid, reference.address.number});
      }
    }
    return lost;
  }

  // Others may need it.
  void leave_misplaced(const std::filesystem::path& path) {
    const auto stuck = found_.put_backs.stuck.find(path);
    add_step(RepairAction::leave, path.string(),
             stuck != found_.put_backs.stuck.end()
                 ? stuck->second
                 : fmt::format("{}: a pack of another run was put here", path.string()));
  }

  void plan_repeated(const std::filesystem::path& path) {
    const auto name = parse_pack_name(path.filename().string());
    if (!name) return;
    PackRepair repair;
    repair.uuid = name->uuid;
    repair.file = ScannedPack{*name, path};
    repair.seen = core_.fs().status(path);
    repair.directory = path.parent_path().filename().string();
    repair.remove = true;
    repair.step =
        add_step(RepairAction::set_aside, path.string(),
                 fmt::format("{}: a second file of a pack that the store has", path.string()));
    step_of(repair).restores = true;
    plan_.packs.push_back(std::move(repair));
  }

  void plan_obstacles() {
    for (const auto& path : index_obstacles(core_)) {
      const auto step =
          add_step(RepairAction::set_aside, path.string(),
                   fmt::format("{}: a file lies where the index belongs", path.string()));
      plan_.report.steps[step].restores = true;
      plan_.obstacles.push_back({path, core_.fs().status(path)});
    }
  }

  void plan_index() {
    index_.check_itself(false);
    if (plan_.packs.empty() && plan_.journals.empty() && plan_.moves.empty()) {
      index_.compare(found_.cache);
    }
    const bool changed = index_.was_changed();
    const IndexCheck check = index_.result();
    for (const LostCheckpoint& lost : check.lost) {
      const std::filesystem::path path = lost.path;
      plan_.forgotten.push_back({lost.record.id, path.parent_path().filename().string()});
      RepairStep& step = plan_.report.steps[add_step(
          RepairAction::forget, lost.path, fmt::format("{}: the file is missing", lost.path))];
      step.run = lost.record.run_name;
      step.checkpoint = lost.record.id.hex();
      step.epoch = lost.record.epoch;
      step.step = lost.record.step;
    }
    const bool moves = !plan_.moves.empty() && core_.index_state() != StoreCore::IndexState::none;
    plan_.rebuild_index = changed || !check.damage.empty() || !plan_.obstacles.empty() || moves;
    if (!plan_.rebuild_index) return;
    const auto step = add_step(RepairAction::rebuild_index, core_.index_layout().index().string(),
                               !check.damage.empty()  ? first_of(check.damage)
                               : !check.notes.empty() ? check.notes.front()
                               : moves                ? "the index is of files that are put back"
                                                      : plan_.report.steps.back().message);
    plan_.report.steps[step].restores = true;
  }

  StoreCore& core_;
  const RepairOptions& options_;
  IndexChecker index_;
  Survey found_;
  std::set<Uuid> salvaged_;  // checkpoints of which there is a salvaged one
  RepairPlan plan_;
};

}  // namespace

RepairPlan make_repair_plan(StoreCore& core, const RepairOptions& options,
                            std::optional<NewIdentity> identity) {
  return Planner(core, options).run(std::move(identity));
}

}  // namespace ckp

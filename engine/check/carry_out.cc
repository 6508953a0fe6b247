#include "check/carry_out.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "check/mend_journal.h"
#include "check/pack_rewriter.h"
#include "check/set_aside.h"
#include "check/unchanged.h"
#include "ckp/error.h"
#include "io/durable_file.h"
#include "runs/record_codec.h"
#include "store/index_sync.h"
#include "store/marks.h"

namespace ckp {
namespace {

std::string name_in(const ScannedPack& file, PackState state, std::uint64_t retired = 0) {
  PackName name = file.name;
  name.state = state;
  name.retired = retired;
  name.trash_until = 0;
  return to_file_name(name);
}

// The files of which copies are kept, before anything is done to them.
std::vector<std::filesystem::path> originals(const StoreLayout& layout, const RepairPlan& plan) {
  std::vector<std::filesystem::path> files;
  if (plan.identity) files.push_back(layout.identity());
  if (plan.marks) files.push_back(layout.marks());
  for (const JournalMend& mend : plan.journals) files.emplace_back(mend.problem.path);
  for (const PackRepair& repair : plan.packs) {
    if (repair.file) files.push_back(repair.file->path);
  }
  for (const IndexObstacle& obstacle : plan.obstacles) files.push_back(obstacle.path);
  return files;
}

Error nothing_was_changed(const Error& error) {
  return {error.code(), fmt::format("{}; nothing was changed", error.what())};
}

class Carrier {
 public:
  Carrier(StoreCore& core, RepairPlan& plan)
      : core_(core), fs_(core.fs()), plan_(plan), aside_(fs_, core.layout(), core.clock()) {}

  void run() {
    try {
      keep_originals();               // P2
      write_new_packs();              // P3
      StoreLock lock = core_.lock();  // P4
      check_unchanged(core_, plan_);
      change(lock);
    } catch (const Error& error) {
      if (changing_) throw;
      aside_.discard();
      throw nothing_was_changed(error);
    }
    unlink_removed();  // P8
    plan_.report.set_aside = aside_.folder().string();
    plan_.report.bytes_set_aside = aside_.bytes();
  }

 private:
  void keep_originals() {
    for (const auto& file : originals(core_.layout(), plan_)) aside_.keep(file);
    std::string text;
    for (const RepairStep& step : plan_.report.steps) {
      text += fmt::format("{}: {}\n  {}\n", to_string(step.action), step.path, step.message);
    }
    aside_.note("repair.txt", text);
  }

  // Left by a repair or a rewrite of these packs that was killed: the names are wanted.
  void remove_dead_temporaries() {
    const StoreLock lock = core_.lock();
    for (const PackRepair& repair : plan_.packs) {
      if (!repair.rewrite) continue;
      for (const ScannedPack& pack : list_run(fs_, core_.layout(), repair.directory).packs) {
        if (pack.name.state != PackState::temporary || pack.name.uuid != repair.uuid) continue;
        if (!is_held(fs_, pack.path)) fs_.remove(pack.path);
      }
    }
  }

  void write_new_packs() {
    remove_dead_temporaries();
    for (const PackRepair& repair : plan_.packs) {
      NewPacks made;
      if (repair.rewrite) {
        made.rewritten =
            write_pack(core_, repair.directory, repair.header, repair.chunks, repair.manifest);
      }
      if (repair.salvaged_manifest) made.salvaged = write_salvaged(repair);
      made_.push_back(std::move(made));
    }
  }

  NewPack write_salvaged(const PackRepair& repair) {
    format::PackHeader header;
    header.may_use = format::pack_features;
    format::Manifest manifest = *repair.salvaged_manifest;
    manifest.checkpoint = manifest_facts(repair.salvaged_record);
    return write_pack(core_, repair.directory, header, {}, manifest);
  }

  void change(StoreLock& lock) {
    changing_ = true;
    const bool trusted = core_.is_trusted(lock);
    if (changes_files()) number_ = lock.begin(all_runs);  // P5
    write_identity();
    if (plan_.marks) write_marks(fs_, core_.layout(), core_.uuid(), plan_.marks->marks);
    for (const PutBack& move : plan_.moves) put_back(fs_, move);
    mend_journals();
    replace_mended();  // P6
    commit_salvaged(lock);
    retire();
    remove_unusable();
    for (const IndexObstacle& obstacle : plan_.obstacles) fs_.remove(obstacle.path);
    facts_ = known_facts(fs_, core_.layout(), core_.uuid()).value_or(LaterFacts{});
    update_index(lock, trusted);  // P7
  }

  bool changes_files() const {
    return !plan_.packs.empty() || !plan_.journals.empty() || !plan_.moves.empty() || plan_.marks;
  }

  void write_identity() {
    if (!plan_.identity) return;
    fs_.sync_directory(core_.layout().root);  // N2: the lock file may be new
    const auto bytes = format::encode_store_identity(plan_.identity->identity);
    write_durably(fs_, core_.layout().identity(), true,
                  [&](FileAppender& file) { file.append(bytes); });
  }

  void mend_journals() {
    for (const JournalMend& mend : plan_.journals) {
      const MendedJournal mended = mend_journal(fs_, mend.problem, mend.run);
      write_durably(fs_, mend.problem.path, true,
                    [&](FileAppender& file) { file.append(mended.bytes); });
    }
  }

  std::filesystem::path path_in_run(const PackRepair& repair, const std::string& name) const {
    return core_.layout().run(repair.directory) / name;
  }

  void rename_synced(const std::filesystem::path& from, const std::filesystem::path& to,
                     bool replace) {
    fs_.rename(from, to, replace);
    fs_.sync_directory(to.parent_path());
  }

  // P6. A pack whose place stays; or one that had no file, which holds chunks for others.
  void replace_mended() {
    for (std::size_t i = 0; i < plan_.packs.size(); ++i) {
      const PackRepair& repair = plan_.packs[i];
      if (!repair.rewrite || repair.retire) continue;
      Registration& made = *made_[i].rewritten.file;
      if (repair.file) {
        rename_synced(made.path(), repair.file->path, true);
      } else {
        const ScannedPack none{{PackState::retired, repair.uuid, number_, 0, 0, number_, 0}, {}};
        rename_synced(made.path(), path_in_run(repair, name_in(none, PackState::retired, number_)),
                      false);
      }
      made.committed();
    }
  }

  // Those with a salvaged checkpoint, in the order in which the damaged ones were committed.
  std::vector<std::size_t> salvages() const {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < plan_.packs.size(); ++i) {
      if (plan_.packs[i].salvaged_manifest) order.push_back(i);
    }
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return plan_.packs[a].salvaged_record.commit < plan_.packs[b].salvaged_record.commit;
    });
    return order;
  }

  void commit_salvaged(StoreLock& lock) {
    for (const std::size_t i : salvages()) {
      PackRepair& repair = plan_.packs[i];
      Registration& made = *made_[i].salvaged.file;
      CheckpointRecord& record = repair.salvaged_record;
      number_ = lock.begin(all_runs);
      record.id = made.uuid();
      record.commit = number_;
      rename_synced(made.path(), path_in_run(repair, live_name(record)), false);
      made.committed();
      plan_.report.steps[repair.step].salvaged = record.id.hex();
      const OpenPack open = open_pack(fs_, path_in_run(repair, live_name(record)));
      record = describe(open, format::read_manifest(*open.source, open.directory), record.commit);
    }
  }

  // The old name first: in no moment a live name stands for a pack without a manifest.
  void retire() {
    for (std::size_t i = 0; i < plan_.packs.size(); ++i) {
      const PackRepair& repair = plan_.packs[i];
      if (!repair.retire) continue;
      const auto retired = path_in_run(repair, name_in(*repair.file, PackState::retired, number_));
      rename_synced(repair.file->path, retired, false);
      if (!repair.rewrite) continue;
      rename_synced(made_[i].rewritten.file->path(), retired, true);
      made_[i].rewritten.file->committed();
    }
  }

  void remove_unusable() {
    for (const PackRepair& repair : plan_.packs) {
      if (!repair.remove) continue;
      auto from = repair.file->path;
      if (repair.file->name.is_kept()) {
        from = path_in_run(repair, name_in(*repair.file, PackState::retired, number_));
        rename_synced(repair.file->path, from, false);
      }
      const auto dead = path_in_run(repair, name_in(*repair.file, PackState::dead));
      rename_synced(from, dead, false);
      removed_.push_back(dead);
    }
  }

  void update_index(StoreLock& lock, bool trusted) {
    const bool none = core_.index_state() == StoreCore::IndexState::none;
    const bool changes_rows = changes_files() || !plan_.forgotten.empty();
    // Marks that were lost, or are those of the other copy, may be in any row.
    const bool changes_any = plan_.rebuild_index || plan_.marks;
    if (!none && (changes_any || (changes_rows && !trusted))) {
      core_.rebuild(lock);
      return;
    }
    if (!changes_rows) return;
    if (!changes_files()) lock.begin(all_runs);
    core_.finish_removal(lock, trusted, [&](IndexUpdate& update) {
      for (const LostFile& lost : plan_.forgotten) forget(update, lost.checkpoint);
      for (std::size_t i = 0; i < plan_.packs.size(); ++i) put(update, plan_.packs[i], made_[i]);
      for (const std::string& directory : changed_runs()) put_run(update, directory);
    });
  }

  static void forget(IndexUpdate& update, const Uuid& id) {
    update.erase_checkpoint(id);
    update.erase_chunks(std::span(&id, 1));
  }

  struct NewPacks {
    NewPack rewritten, salvaged;
  };

  void put(IndexUpdate& update, const PackRepair& repair, const NewPacks& made) {
    forget(update, repair.uuid);
    if (repair.remove) put_other_file(update, repair);
    if (repair.record) {
      CheckpointRecord record = *repair.record;
      record.file_size = made.rewritten.directory.file_size;
      facts_.apply_to(record);
      update.put_checkpoint(record);
      update.put_chunks(chunk_rows(made.rewritten.directory));
    }
    if (repair.salvaged_manifest) update.put_checkpoint(repair.salvaged_record);
  }

  // Of a pack that had two files, which the index may not have known: somebody has put it back.
  void put_other_file(IndexUpdate& update, const PackRepair& repair) const {
    const auto file = find_pack(fs_, core_.layout(), repair.directory, repair.uuid);
    if (!file || file->name.state != PackState::live) return;
    try {
      ScannedCheckpoint kept = read_checkpoint(fs_, *file);
      facts_.apply_to(kept.record);
      update.put_checkpoint(kept.record);
      update.put_chunks(chunk_rows(kept.pack.directory));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt) throw;  // it is not listed, as everywhere
    }
  }

  std::set<std::string> changed_runs() const {
    std::set<std::string> directories;
    for (const LostFile& lost : plan_.forgotten) directories.insert(lost.directory);
    for (const PackRepair& repair : plan_.packs) directories.insert(repair.directory);
    for (const JournalMend& mend : plan_.journals) directories.insert(mend.directory);
    return directories;
  }

  // A run without journals is what its checkpoints say, and one without either is none.
  void put_run(IndexUpdate& update, const std::string& directory) {
    const RunDirectory files = list_run(fs_, core_.layout(), directory);
    if (auto run = read_run(fs_, files)) {
      facts_.apply_to(*run);
      update.put_run(*run);
    } else {
      update.erase_run(files.run);
    }
  }

  void unlink_removed() {
    for (const auto& path : removed_) fs_.remove(path);
  }

  StoreCore& core_;
  FileSystem& fs_;
  RepairPlan& plan_;
  SetAside aside_;
  std::vector<NewPacks> made_;
  std::vector<std::filesystem::path> removed_;
  LaterFacts facts_;
  std::uint64_t number_ = 0;
  bool changing_ = false;  // from here on the originals set aside are needed
};

}  // namespace

void check_can_be_carried_out(StoreCore& core, const RepairPlan& plan) {
  std::vector<std::filesystem::path> files = originals(core.layout(), plan);
  const bool copies = !files.empty();
  files.push_back(core.layout().lock());
  try {
    if (copies) SetAside(core.fs(), core.layout(), core.clock()).check_place();
    for (const auto& file : files) {
      if (core.fs().status(file)) core.fs().open(file, OpenMode::read)->close();
    }
  } catch (const Error& error) {
    throw nothing_was_changed(error);
  }
}

void carry_out(StoreCore& core, RepairPlan& plan) { Carrier(core, plan).run(); }

}  // namespace ckp

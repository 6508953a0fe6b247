// Putting right what verify finds, as far as the store itself can (spec/commit.md, "Repair").
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "ckp/store.h"

namespace ckp {

enum class RepairAction {
  rewrite_identity,  // the file STORE is made anew
  make_runs,         // the directory runs/ is missing, and all that was in it: it is made empty
  put_back,          // a file in another run's directory, or a run's directory under another name,
                     // goes where it belongs; damage is looked for by the repair after that
  rebuild_index,     // from packs and journals
  mend_marks,        // the file `marks`, from its second copy; without one, aliases and what was
                     // said of checkpoints since they were saved are lost
  mend_journal,      // what can be read of it stays, what is lost is marked as known
  mend_pack,         // written anew, damaged chunks from identical ones elsewhere in the store
  salvage,           // a new checkpoint of all undamaged tensors; the damaged one is retired
  keep_chunks,       // the checkpoint is lost; chunks that others may need stay in a retired pack
  forget,            // the file is gone, and with it the checkpoint: it leaves the index
  set_aside,         // the file leaves the store; `message` says why
  leave,             // cannot be repaired now; `message` says why
};
std::string_view to_string(RepairAction action);

struct RepairStep {
  RepairAction action = RepairAction::leave;
  std::string path;        // the damaged file
  std::string run;         // name, when it is known
  std::string checkpoint;  // id, 32 hex digits; of a salvage: the damaged one's
  std::int64_t epoch = -1, step = -1;
  std::uint64_t chunks_mended = 0;   // from identical ones
  std::uint64_t chunks_lost = 0;     // of those that a live checkpoint needs
  std::vector<std::string> missing;  // tensors that a salvage lacks
  std::uint64_t tensors_saved = 0;
  std::string message;    // what is wrong, and what becomes of it
  std::string salvaged;   // id of the new checkpoint, once it is made
  bool damage = true;     // false: a file that this user may not read; it may be sound
  bool restores = false;  // nothing is lost: everything is as it was before the damage
};

struct RepairReport {
  std::vector<RepairStep> steps;
  std::string set_aside;  // folder with the originals, once there is one
  std::uint64_t bytes_set_aside = 0;
  bool complete = true;  // false: cancelled before everything was looked at; nothing was changed
  bool nothing_to_do() const { return steps.empty(); }
  // Nothing is lost, and nothing is left as it is.
  bool restores_all() const;
  // There is damage, and people have to do something about all of it.
  bool can_do_nothing() const;
  // Damage was not looked for, since something had to be put in its place first: repair once more.
  bool repair_again() const;
};

struct RepairOptions {
  VerifyLevel level = VerifyLevel::stored;  // how closely damage is looked for
  unsigned threads = 0;
  // As in PruneOptions: nobody else, on any host, uses the store meanwhile.
  bool exclusive = false;
  std::function<void(const VerifyProgress&)> progress = {};
  // Polled while looking for damage; true ends it, nothing having changed.
  std::function<bool()> cancelled = {};
};

// Whether there is a store at `path`, or what is left of one that lost its file STORE: runs/ with
// runs in it, or with the file `lock` beside it.
bool can_repair(const std::filesystem::path& path, FileSystem& fs);

// What repair would do. Changes nothing. Throws what repair would throw because of what lies in the
// place of a file (a directory, a pipe).
RepairReport plan_repair(const std::filesystem::path& path, const RepairOptions& options = {},
                         const StoreOptions& store = {});
// Does it, and returns what was done. Whatever it replaces or removes is copied first, into
// `set-aside/<date>-<n>/` inside the store. A sound pack that lies in another run's directory is
// put back, or, where that cannot be, left there. May run beside saves, loads and prunes; the
// journal of a run that is being trained is left for later. Error(newer_format) when a newer
// version has written something into the store; Error(locked) when files change under its hands:
// run it again; Error(unsupported) where prune refuses to delete. One that fails before it has
// replaced or moved anything takes its copies away again, and its message says that nothing was
// changed.
RepairReport repair(const std::filesystem::path& path, const RepairOptions& options = {},
                    const StoreOptions& store = {});

}  // namespace ckp

// A store: a directory with everything that some training jobs have saved.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/address.h"
#include "ckp/aliases.h"
#include "ckp/clock.h"
#include "ckp/file_system.h"
#include "ckp/hold.h"
#include "ckp/load.h"
#include "ckp/metrics.h"
#include "ckp/records.h"
#include "ckp/retention.h"
#include "ckp/run.h"
#include "ckp/search.h"
#include "ckp/stats.h"
#include "ckp/trash.h"
#include "ckp/verify.h"

namespace ckp {

struct StoreOptions {
  std::shared_ptr<FileSystem> file_system = posix_file_system();
  std::shared_ptr<Clock> clock = system_clock();
  // How long a call waits for another process that holds the store before Error(locked), which
  // names the holder.
  std::int64_t lock_timeout_ms = 60'000;
  // Where the index lies: a folder of the store's own is made in it. Empty: in the store itself,
  // or, when that is on a remote file system (NFS, CIFS, Lustre, FUSE, ...), in this host's cache:
  // $CKPSTORE_CACHE, else $XDG_CACHE_HOME/ckpstore, else ~/.cache/ckpstore, else below the
  // temporary directory. Error(unsupported) for a directory on a remote file system.
  std::filesystem::path index_directory = {};
  // Bytes that the copied states of each run's saves in flight may take together. A save that needs
  // more than all of it waits until it is alone, and is done all the same.
  std::uint64_t save_memory = std::uint64_t{2} << 30;
};

// How prune and the removals go about it.
struct PruneOptions {
  // Nobody else, on any host, uses the store while this runs. Without it deleting is refused
  // (Error(unsupported)) where the store is on a remote file system: locks can be lost there, and a
  // deleted file vanishes under another host's reader.
  bool exclusive = false;
  // A file that is only kept for some of its chunks is rewritten without the others when they are
  // at least this part of it. Above 1: never.
  double waste_threshold = 0.5;
  // Checkpoints that go can be brought back for this long (Store::undelete), and their bytes are
  // freed by the first prune or removal after that. 0: they are freed at once.
  std::int64_t trash_ns = 0;
  // Of Store::prune: what is in the trash goes now, whatever its time. With an empty policy that is
  // all that it does.
  bool empty_trash = false;
};

// One checkpoint of a plan, with what deleting it frees.
struct PruneEntry {
  KeepDecision decision;
  std::string run;                // name
  std::uint64_t bytes_freed = 0;  // of files that go when this plan is carried out
  std::string
      held;  // why its file stays although the checkpoint goes: "holds 3 chunks that cnn@9 needs"
  std::int64_t trash_until_ns = 0;  // kept in the trash until then (since 1970, UTC); 0: it is not
};

// A file of a deleted checkpoint that is made smaller.
struct PackRewrite {
  Uuid pack;
  std::string run;  // name, or the directory's when the run itself is gone
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
};

struct PrunePlan {
  std::vector<PruneEntry> entries;  // by run, then commit order
  std::uint64_t bytes_freed = 0;    // files that will be removed, garbage included, and rewrites
  std::uint64_t bytes_held = 0;     // files of deleted checkpoints that stay, as they are now
  std::uint64_t garbage_files = 0;  // left by saves that died
  std::vector<PackRewrite> rewrites = {};  // of files deleted now or earlier
  std::uint64_t bytes_trashed = 0;         // files of checkpoints that go to the trash by this plan
  std::uint64_t expired = 0;               // checkpoints that leave the trash for good
  // What is in the trash afterwards, in all runs: checkpoints, bytes of their files, and what
  // emptying it then frees. The rest of these bytes is shared with checkpoints that stay.
  std::uint64_t trash_checkpoints = 0, trash_bytes = 0, trash_frees = 0;
  // What could not be done, as one line each: a rewrite for which there was no space. The files are
  // as they were, and a later prune tries again.
  std::vector<std::string> notes = {};
};

struct ImportOptions {
  std::string run = {};  // empty: the name in the file, or the file's stem
};

// Thread-safe. Copies of nothing: a Store is movable only. Several Stores, also in other
// processes, may use one directory at the same time. A forked child cannot use its parent's: calls
// that change the store or ask its index throw Error(invalid_argument) there; it opens one of its
// own.
class Store {
 public:
  struct Impl;
  // Makes the directory (its parent must exist) and an empty store in it. Durable on return.
  // Error(already_exists) where a store is; Error(invalid_argument) where the directory has other
  // things in it.
  static Store create(const std::filesystem::path& path, const StoreOptions& options = {});
  // Opens without repairing anything. Error(not_found) names the commands that make a store or
  // find one; Error(newer_format); Error(corrupt) where the file STORE is damaged or another
  // store's, naming the command that writes it anew.
  static Store open(const std::filesystem::path& path, const StoreOptions& options = {});
  static Store open_or_create(const std::filesystem::path& path, const StoreOptions& options = {});
  // Whether a store is there.
  static bool exists(const std::filesystem::path& path, FileSystem& fs);

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  const std::filesystem::path& path() const;
  Uuid uuid() const;
  // What its user should know about this store, as one line each: on a remote file system, where
  // the index went (when it is made), or why there is none.
  const std::vector<std::string>& notes() const;

  // What this object has found: the index was damaged, why, and has been made anew from the files.
  // Nothing when it was not. A disk that loses bits of the index may have lost others.
  std::optional<std::string> index_damage() const;

  // Starts a new run; its record is durable on return. Error(already_exists) when the name is
  // taken, naming three ways on; nothing is written then.
  Run create_run(const RunOptions& options);
  // Opens a new attempt on an existing run, by name or id prefix, that continues from the newest
  // undamaged finite checkpoint of the current line (or from `from`). `options` is recorded with
  // the attempt, durable on return. Error(not_found), Error(locked) when a living process holds the
  // run.
  Run resume_run(std::string_view name_or_id, const std::optional<Address>& from = std::nullopt,
                 const AttemptOptions& options = {});
  // NAME when it is free, else NAME-2, NAME-3, ...
  std::string free_run_name(std::string_view name) const;

  // All runs, by creation. A run whose process is gone is shown as interrupted.
  std::vector<RunRecord> runs() const;
  // By name, or by a prefix of the id (at least four digits). Error(not_found) lists near names.
  RunRecord run(std::string_view name_or_id) const;
  // All live checkpoints of a run in commit order, superseded ones included.
  std::vector<CheckpointRecord> checkpoints(const Uuid& run) const;
  // What has been logged of a run (Run::log), in the order in which it was; see ckp/metrics.h. All
  // of it, or what led to the run's current line.
  std::vector<MetricPoint> metrics(const RunRecord& run, Superseded superseded) const;
  // The same as it comes: what is there at first, then what is new at each call.
  MetricFollower follow(const RunRecord& run) const;
  // What the source of an attempt's program differed by from its commit, as capture_environment
  // found it. Nothing when that was not recorded.
  std::optional<std::string> source_diff(const RunRecord& run, std::uint32_t attempt) const;
  // The runs, or the checkpoints of these runs, that a search wants. Error(not_found) for a name in
  // Search::runs that there is not.
  std::vector<FoundRun> find_runs(const Search& search) const;
  std::vector<FoundCheckpoint> find_checkpoints(const Search& search) const;
  // What the list of a run does not show as it is, one line each: a file whose checkpoint could not
  // be read when the index was made, a listed checkpoint whose file is gone although nobody
  // removed it, a journal that is gone, and marks that cannot be read. Goes by names, in the time
  // of one listing; verify finds the rest.
  std::vector<std::string> missing(const RunRecord& run) const;
  // The checkpoint that an address means. Error(not_found), naming both, when an alias points at
  // one that is not there.
  CheckpointRecord find(const Address& address) const;
  // The same for remove_checkpoints: where `find` finds none, RUN@ID means a file that cannot be
  // read, too. Of such a one only run, id, commit and step are known; its epoch is -1.
  CheckpointRecord find_to_remove(const Address& address) const;

  // Aliases. As long as one points at a checkpoint, no prune and no removal takes that away. What
  // was done is durable on return, also of several processes at once; nothing is changed by a call
  // that throws, except that one that says it could not make the change durable may have made it.
  // When the file `marks` cannot be read, all of these throw Error(corrupt), and so do prune and
  // the removals: what they must not take is unknown.
  //
  // Lets `alias` (see check_alias_name) point at a live checkpoint, of any run; makes it when there
  // is no such alias. Error(not_found) when the checkpoint has been pruned meanwhile.
  AliasChange promote(const CheckpointRecord& checkpoint, std::string_view alias,
                      const PromoteOptions& options = {});
  // Back to the checkpoint before, with its metadata; once more: to the one before that.
  // Error(not_found) when there was none, or when it is gone.
  AliasChange roll_back(std::string_view alias, const std::string& note = {});
  // The alias points at nothing from now on; its history stays.
  AliasChange remove_alias(std::string_view alias, const std::string& note = {});
  // Everything that ever happened to the store's aliases, oldest first: see current_aliases.
  std::vector<AliasChange> alias_history() const;
  // The checkpoint that an alias pointed at, at a time (since 1970, UTC). Error(not_found) when
  // there was no such alias then, or when the checkpoint is gone by now.
  CheckpointRecord find_alias_at(std::string_view alias, std::int64_t time_ns) const;

  // What is said after the save: what an evaluation has measured days later, a tag, a note. By any
  // process, also while trainers run; durable on return. `find`, `checkpoints` and every search,
  // RUN@best, the keep rules of a prune and CheckpointRecord::later have it from then on; who said
  // it, and when, is recorded, and nothing that was said is ever forgotten. The checkpoint's own
  // file is not touched: a copy of that alone does not have it. Each call writes all marks of the
  // store anew, of which one can hold some 150,000 (16 MiB): give what belongs together in one.
  // All return the record as it is then, and throw Error(not_found) when the checkpoint or run is
  // gone, Error(invalid_argument) for a name that is empty, longer than 200 bytes or has control
  // characters, for the tag that a save inside a step gives (mid_step_tag) and for a value of more
  // than 64 KiB, Error(corrupt) when the file `marks` cannot be read. Nothing is changed then.
  //
  // A tag that the checkpoint has already gets the new value.
  CheckpointRecord tag(const CheckpointRecord& checkpoint, const Value::Map& tags);
  // Error(not_found) for a tag that it does not have.
  CheckpointRecord remove_tags(const CheckpointRecord& checkpoint,
                               std::span<const std::string> names);
  // Values are kept bit by bit, NaN included. A metric that the checkpoint was saved with counts
  // with its new value from then on.
  CheckpointRecord add_metrics(const CheckpointRecord& checkpoint,
                               const std::map<std::string, double>& metrics);
  CheckpointRecord note(const CheckpointRecord& checkpoint, const std::string& text);
  RunRecord note(const RunRecord& run, const std::string& text);

  // Opens a checkpoint with all packs it needs. Error(not_found) when it has no file: pruned, or
  // lost.
  Checkpoint open_checkpoint(const CheckpointRecord& checkpoint) const;

  // Takes checkpoints away, or a whole run with its record; frees what nothing else needs and
  // returns the bytes freed. remove_run: Error(locked) while a process holds the run; what the run
  // has in the trash goes with it, and Error(invalid_argument) with `trash_ns`, as a run without
  // its record would be left.
  std::uint64_t remove_checkpoints(std::span<const Uuid> checkpoints,
                                   const PruneOptions& options = {});
  std::uint64_t remove_run(std::string_view name_or_id, const PruneOptions& options = {});

  // What prune would do, or throws what it would throw. `runs` empty: every run.
  PrunePlan plan_prune(const KeepPolicy& policy, std::span<const std::string> runs = {},
                       const PruneOptions& options = {}) const;
  // Does it, and returns the plan that was carried out: decided anew under the store's lock. When
  // any would go, all checkpoints of these runs must be readable; of a run that would lose one, the
  // others must have their files, and the newest that is kept must be undamaged. Otherwise an Error
  // (corrupt, or what reading said) names the way on, and nothing is deleted.
  PrunePlan prune(const KeepPolicy& policy, std::span<const std::string> runs = {},
                  const PruneOptions& options = {});

  // What can be brought back, by run, then commit order. Reads the manifest of each.
  std::vector<TrashedCheckpoint> trash() const;
  // The one in the trash that an address means: RUN is its newest there, @best the best there.
  // Error(not_found).
  CheckpointRecord find_in_trash(const Address& address) const;
  // Brings checkpoints back from the trash, as they were, with their commit numbers, tags, notes
  // and places in their runs' lines. Durable on return. Nothing is changed with Error(not_found)
  // when one is not there (any more), Error(corrupt) when a manifest or what it needs is damaged,
  // and Error(locked) while the store is held (see hold). Another error may leave some of them
  // back, each as a whole.
  std::vector<CheckpointRecord> undelete(std::span<const Uuid> checkpoints);
  // What a prune without rules goes by, and what every Run does to its own checkpoints after each
  // save (SaveOptions::apply_policy): one policy for the store, and any run may have one of its
  // own, which takes its place as a whole. Nothing is decided about a run in which a keep-best rule
  // finds no value of its metric yet, or in which there is no tag when there are only rules for
  // tags. Durable on return; kept in the file `marks`, as aliases are, with the same errors.
  StoredPolicies policies() const;
  // In the place of what is kept there. `run`: name or id prefix; empty: the store's.
  // Error(invalid_argument) for a policy without rules (check_policy), or a keep-best rule without
  // metric; Error(not_found) for a run that there is not.
  void set_policy(const KeepPolicy& policy, std::string_view run = {});
  // A run without one is judged by the store's again.
  void clear_policy(std::string_view run = {});
  // As plan_prune and prune. Error(invalid_argument) when the store keeps no policy,
  // Error(newer_format) when one has a rule of which this version does not know.
  PrunePlan plan_policy(std::span<const std::string> runs = {},
                        const PruneOptions& options = {}) const;
  PrunePlan apply_policy(std::span<const std::string> runs = {}, const PruneOptions& options = {});

  // Keeps prune and the removals away, so that the store's files can be copied one by one. Waits
  // for those that are under way. Error(locked) as for StoreOptions::lock_timeout_ms;
  // Error(read_only) where nothing can be locked, and nothing deleted.
  StoreHold hold();

  VerifyReport verify(const VerifyOptions& options = {}) const;

  // Where the bytes are. Reads the ends and the manifest of every pack and no tensor, one manifest
  // at a time; memory grows with the number of packs, and of chunks that they hold. What cannot be
  // read is named, and the rest is counted. Takes no lock: what others save or prune meanwhile is
  // counted as it was or as it will be. `waste_threshold` as in PruneOptions.
  StoreStats stats(double waste_threshold = PruneOptions{}.waste_threshold) const;

  // Takes a standalone file into the store as the one checkpoint of a new run; the file stays.
  // Error(already_exists) when the run exists, unless an import left it that was interrupted before
  // it had a checkpoint: it is removed first, where deleting is allowed.
  CheckpointRecord import_file(const std::filesystem::path& file, const ImportOptions& options);

  struct RebuildReport {
    std::uint64_t runs = 0, checkpoints = 0, chunks = 0;
    // Live packs that could not be read, each with the reason: the index has no checkpoint of them.
    std::vector<std::string> unreadable = {};
  };
  // Makes the index anew from packs and journals.
  RebuildReport rebuild_index();

 private:
  explicit Store(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace ckp

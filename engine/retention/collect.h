// What can go: the roots, what they need, and the rest (spec/commit.md, R3 and R4).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "retention/snapshot.h"

namespace ckp {

// What R2 renames.
struct Departures {
  std::set<Uuid> going;                      // live checkpoints that are retired
  std::map<Uuid, std::int64_t> trash_until;  // of these: kept in the trash, seconds since 1970
  std::set<Uuid> expired;                    // that leave the trash for good
  // Those that are gone for good, whoever may still need their chunks.
  bool takes(const Uuid& pack) const {
    return expired.contains(pack) || (going.contains(pack) && !trash_until.contains(pack));
  }
};

// Those in the trash whose time has come by `now_ns`; or all of them.
std::set<Uuid> expired_trash(const Snapshot& snapshot, std::int64_t now_ns, bool all);

// A retired pack and the chunks that keep it.
struct PlannedRewrite {
  Uuid pack;
  ChunkNumbers needed;
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
};

struct Collection {
  std::set<Uuid> doomed;                 // packs that can go once those that leave have left
  std::map<Uuid, std::string> held;      // packs that leave and must stay, with the reason
  std::vector<PlannedRewrite> rewrites;  // of packs that must stay for some of their chunks
  std::vector<LooseFile> garbage;        // dead files, and temporary packs without an owner
  // Of doomed and garbage, and what the rewrites save.
  std::uint64_t bytes() const;
  std::uint64_t doomed_bytes = 0, garbage_bytes = 0;
  // Of the file of a pack that is not doomed, when all this has been done.
  std::uint64_t size_after(const Uuid& pack, std::uint64_t size) const;
};

// Somebody who may need a pack: a file, or a run directory that leads nowhere.
struct UnreadableUser {
  std::string path;
  std::string remedy;  // what a user can do, or why nothing
};

// R3: what these departures leave as roots, and which chunks of a pack those need. The snapshot
// outlives it.
class Roots {
 public:
  Roots(const Snapshot& snapshot, const Departures& departures);
  bool contains(const Uuid& pack) const { return packs_.contains(pack); }
  // Of what cannot be read, somebody who may refer to this pack: a pack refers to none that was
  // committed after it, and what a newer version does nobody knows.
  std::optional<UnreadableUser> unreadable_user_of(const PackName& pack) const;
  // A root that refers to chunks of this pack, or null.
  const PackFacts* user_of(const Uuid& pack) const;
  ChunkNumbers needed_of(const Uuid& pack) const;

 private:
  std::set<Uuid> packs_;
  std::map<Uuid, std::vector<const PackFacts*>> users_;
  std::vector<const PackFacts*> unreadable_;
  std::string unreachable_run_;
};

// `departures`: those that are about to be, or just were. With `earlier`: what is left to do when
// that has been done.
Collection plan_collection(const Snapshot& snapshot, const Departures& departures,
                           double waste_threshold, const Collection& earlier = {});

// Carries out a retirement and the collection that follows, under `lock` up to R5; then R6.
// `snapshot` and `collection` must have been taken under this lock.
void retire_and_collect(StoreCore& core, StoreLock& lock, const Snapshot& snapshot,
                        const Departures& departures, const Collection& collection);

// R6: removes files and directories that are dead by name, and directories of removed runs in which
// nothing is left.
void unlink_dead(StoreCore& core, const Snapshot& snapshot, const std::set<Uuid>& doomed,
                 const std::vector<LooseFile>& garbage);

}  // namespace ckp

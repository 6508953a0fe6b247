// The file `marks`: what is said about a store's checkpoints and runs after they were saved
// (spec/store.md, "Marks"; spec/commit.md, M1 to M3).
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ckp/aliases.h"
#include "ckp/file_system.h"
#include "runs/later_facts.h"
#include "store/run_scan.h"
#include "store/store_core.h"

namespace ckp {

// What prune shall keep was said, or taken back.
struct PolicyChange {
  std::optional<Uuid> run = {};          // nothing: all that have none of their own
  std::optional<Value::Map> rules = {};  // as they were written; nothing: taken back
  std::int64_t time_ns = 0;
  std::string who = {};  // "user@host"
};

struct Marks {
  std::vector<AliasChange> aliases;  // the whole history, oldest first
  LaterFacts facts;
  std::vector<PolicyChange> policies;  // likewise
};

// What can be read of the file. A store in which nobody has marked anything has none, and that is
// no problem.
struct MarksFile {
  std::optional<Marks> marks;      // nothing: neither of its two copies can be read
  std::string problem;             // what is wrong with it, also when one copy can be read
  std::optional<FileStatus> seen;  // before it was read
  bool away = false;               // a link to nowhere: its bytes may come back
};
// Error(newer_format) when a newer version wrote it.
MarksFile look_at_marks(FileSystem& fs, const StoreLayout& layout, const Uuid& store);

// Error(corrupt) when it cannot be read, Error(io) when it is a link to nowhere: that there are no
// marks cannot be said then.
Marks read_marks(const StoreCore& core);

// For the records of checkpoints and runs. Nothing when they cannot be read: what has been said is
// unknown then.
std::optional<LaterFacts> known_facts(FileSystem& fs, const StoreLayout& layout, const Uuid& store);

// M1 to M3: changes the marks, durably on return.
void change_marks(StoreCore& core, const std::function<void(Marks&)>& change);
// M2, M3, under the store's lock.
void write_marks(FileSystem& fs, const StoreLayout& layout, const Uuid& store, const Marks& marks);

// The store that the file belongs to, as it says itself.
std::optional<Uuid> owner_of_marks(FileSystem& fs, const StoreLayout& layout);

// A checkpoint's file, under the name of a live one.
std::optional<ScannedPack> find_live(const StoreCore& core, const Uuid& checkpoint);

// Throws Error(invalid_argument) when an alias points at one of these checkpoints. To be asked
// under the store's lock.
void check_not_aliased(const StoreCore& core, const std::set<Uuid>& checkpoints);

}  // namespace ckp

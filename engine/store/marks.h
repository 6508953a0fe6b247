// The file `marks`: what people say about a store's checkpoints after they were saved
// (spec/store.md, "Marks"; spec/commit.md, M1 to M4).
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ckp/aliases.h"
#include "ckp/file_system.h"
#include "store/store_core.h"

namespace ckp {

struct Marks {
  std::vector<AliasChange> aliases;  // the whole history, oldest first
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

// M1 to M4: changes the marks, durably on return.
void change_marks(StoreCore& core, const std::function<void(Marks&)>& change);
// M2, M3, under the store's lock.
void write_marks(FileSystem& fs, const StoreLayout& layout, const Uuid& store, const Marks& marks);

// The store that the file belongs to, as it says itself.
std::optional<Uuid> owner_of_marks(FileSystem& fs, const StoreLayout& layout);

// Whether a checkpoint has its file, under the name of a live one.
bool is_live(const StoreCore& core, const Uuid& checkpoint);

// Throws Error(invalid_argument) when an alias points at one of these checkpoints. To be asked
// under the store's lock.
void check_not_aliased(const StoreCore& core, const std::set<Uuid>& checkpoints);

}  // namespace ckp

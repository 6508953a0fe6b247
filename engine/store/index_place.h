// Where a store's index lies (spec/commit.md, "On network file systems").
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "ckp/file_system.h"
#include "store/layout.h"

namespace ckp {

struct IndexPlace {
  // Its index() and lock() are the index's: of the store itself, or of a folder of this host that
  // has the same names in it.
  StoreLayout layout;
  bool in_store = true;
};

struct IndexPlaceChoice {
  std::optional<IndexPlace> place;  // nothing: there can be no index, and the files answer
  std::string note;                 // for the user; empty when there is nothing to say
};

// `kind`: of the store's file system. `asked`: where the user wants it, or empty. On a remote file
// system the index goes to this host's cache, and the folder for it is made. Error(unsupported)
// when `asked` is on one.
IndexPlaceChoice choose_index_place(FileSystem& fs, const FileSystemKind& kind,
                                    const StoreLayout& store, const Uuid& uuid,
                                    const std::filesystem::path& asked);

}  // namespace ckp

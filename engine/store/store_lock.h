// The store's lock and the state block beside it (spec/commit.md, "Locks", "The state block").
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "ckp/file_system.h"
#include "ckp/format/store_identity.h"
#include "store/layout.h"

namespace ckp {

// The state block as the lock file has it now; readable without the lock. Nothing when there is
// none, or when it is damaged or another store's.
std::optional<format::StateBlock> read_state_block(FileSystem& fs, const StoreLayout& layout,
                                                   const Uuid& store);

// Whether a data file is the one that a stamp describes, and unchanged: the part of the stamp that
// can be compared without opening the file, which must not happen to a damaged one.
bool same_file(const format::IndexStamp& stamp, const std::optional<FileStatus>& status);

// As a run directory in the state block: a commit that renames in several of them.
constexpr std::string_view all_runs = "*";

// Holds the store's lock for as long as it lives.
class StoreLock {
 public:
  // L1, L2. Waits at most `timeout_ms`, then throws Error(locked) naming the holder.
  StoreLock(FileSystem& fs, const StoreLayout& layout, const Uuid& store, std::int64_t timeout_ms);

  // The last number given; the next commit gets one more.
  std::uint64_t commit_number() const { return number_; }
  const format::StateBlock& block() const { return block_; }

  // C4: announces a commit in `run_directory`, or in all_runs, and returns its number.
  std::uint64_t begin(std::string_view run_directory);
  // C8: the commit has reached the index, which now looks like this. Also after a resync.
  void end(const format::IndexStamp& stamp);
  // C8 when the index is not in the store: one that is there has not heard of this commit.
  void end_without_index();

 private:
  void write_block(const Uuid& boot);
  bool is_of_this_place(FileSystem& fs) const;
  void finish_renames(FileSystem& fs) const;
  std::uint64_t largest_number_in_names(FileSystem& fs) const;

  StoreLayout layout_;
  std::unique_ptr<File> file_;
  format::StateBlock block_;
  std::uint64_t number_ = 0;
};

}  // namespace ckp

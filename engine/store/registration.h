// S1: a save announces itself before its first look-up, so that nothing it may refer to is
// collected.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "ckp/file_system.h"
#include "store/store_core.h"

namespace ckp {

// A temporary pack whose lock is held. Abandoned (removed) by the destructor unless committed; in
// a forked child the destructor does nothing.
class Registration {
 public:
  // `directory`: of the run, below runs/. `uuid`: of the pack; one that exists is given to rewrite
  // it, and Error(already_exists) says that another process is at it.
  Registration(StoreCore& core, const std::string& directory, const Uuid& uuid);
  Registration(StoreCore& core, const std::string& directory);
  ~Registration();
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  const Uuid& uuid() const { return uuid_; }
  std::uint64_t began() const { return began_; }
  File& file() { return *file_; }
  const std::filesystem::path& path() const { return path_; }
  const std::string& directory() const { return directory_; }
  // Whether the file is still there under its name. To be asked under the store's lock.
  bool is_in_place() const;
  // The file has another name now and belongs to the store.
  void committed() { committed_ = true; }

 private:
  void bring_index_up_to_date(StoreLock& lock) noexcept;

  StoreCore& core_;
  std::string directory_;
  Uuid uuid_;
  std::uint64_t began_ = 0;
  std::filesystem::path path_;
  std::unique_ptr<File> file_;
  std::uint32_t creator_pid_;
  bool committed_ = false;
};

}  // namespace ckp

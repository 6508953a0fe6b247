// Where repair keeps the originals of whatever it replaces or moves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "ckp/clock.h"
#include "ckp/file_system.h"
#include "io/durable_file.h"
#include "store/layout.h"

namespace ckp {

// A folder `set-aside/<date>-<n>/` inside the store, made when the first file comes. In it files
// have the paths that they had below the store.
class SetAside {
 public:
  SetAside(FileSystem& fs, const StoreLayout& layout, Clock& clock)
      : fs_(fs), layout_(layout), clock_(clock) {}

  // Throws Error(already_exists) when something else has the place of `set-aside`.
  void check_place() const;
  // Copies a file, as far as it can be read, durably. A file that does not exist is left out.
  void keep(const std::filesystem::path& file);
  // Takes all of it away again, as far as that is possible: nothing has been replaced or moved.
  void discard() noexcept;
  // Writes a file of notes beside them.
  void note(std::string_view name, const std::string& text);

  const std::filesystem::path& folder() const { return folder_; }  // empty: nothing was kept
  std::uint64_t bytes() const { return bytes_; }

 private:
  void make_folder();
  void write(const std::filesystem::path& path, const std::function<void(FileAppender&)>& fill);
  void make_directories(const std::filesystem::path& below);

  FileSystem& fs_;
  const StoreLayout& layout_;
  Clock& clock_;
  std::filesystem::path folder_;
  std::set<std::filesystem::path> made_;      // directories below the folder
  std::vector<std::filesystem::path> paths_;  // everything that was made, in this order
  std::uint64_t bytes_ = 0;
};

}  // namespace ckp

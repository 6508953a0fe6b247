#include "store/index_place.h"

#include <fmt/format.h>

#include <cstdlib>
#include <system_error>
#include <vector>

#include "ckp/error.h"
#include "io/host.h"

namespace ckp {
namespace {

namespace stdfs = std::filesystem;

// A store and its copy have one uuid, and must not share an index.
std::string folder_name(FileSystem& fs, const StoreLayout& store, const Uuid& uuid) {
  const auto identity = fs.status(store.identity());
  if (!identity) {
    throw Error(ErrorCode::not_found, fmt::format("{}: is gone", store.identity().string()));
  }
  return fmt::format("{}-{:x}-{:x}", uuid.hex(), identity->device, identity->inode);
}

FileSystemKind kind_of_nearest(FileSystem& fs, const stdfs::path& path) {
  stdfs::path at = stdfs::absolute(path);
  while (!fs.status(at) && at.has_relative_path()) at = at.parent_path();
  return fs.kind(at);
}

void make_directories(FileSystem& fs, const stdfs::path& path) {
  if (path.empty() || fs.status(path)) return;
  make_directories(fs, path.parent_path());
  fs.make_directory(path);
}

struct Folder {
  StoreLayout layout;
  bool is_new = false;
};

// Makes the store's folder in `cache`, and throws when it cannot be used.
Folder make_folder(FileSystem& fs, const stdfs::path& cache, const std::string& name) {
  const FileSystemKind kind = kind_of_nearest(fs, cache);
  if (kind.remote) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: an index is mapped into memory, and must not be on a file system "
                            "that others serve ({}); choose a local directory",
                            cache.string(), kind.name));
  }
  Folder folder{{cache / name}, false};
  folder.is_new = !fs.status(folder.layout.lock());
  make_directories(fs, folder.layout.root);
  fs.open(folder.layout.lock(), OpenMode::create)->close();
  return folder;
}

std::optional<stdfs::path> variable(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

// In the order in which they are tried. What the user has named is not gone around.
std::vector<stdfs::path> cache_folders() {
  if (const auto named = variable("CKPSTORE_CACHE")) return {*named};
  std::vector<stdfs::path> folders;
  if (const auto xdg = variable("XDG_CACHE_HOME")) folders.push_back(*xdg / "ckpstore");
  if (const auto home = variable("HOME")) folders.push_back(*home / ".cache" / "ckpstore");
  std::error_code error;
  const stdfs::path temporary = stdfs::temp_directory_path(error);
  if (!error) folders.push_back(temporary / fmt::format("ckpstore-{}", user_id()));
  return folders;
}

// Anybody may have made a directory of a name that can be guessed.
void check_owner(const stdfs::path& cache) {
  if (is_own_directory(cache)) return;
  throw Error(
      ErrorCode::read_only,
      fmt::format("{}: belongs to another user, or others may write to it", cache.string()));
}

}  // namespace

IndexPlaceChoice choose_index_place(FileSystem& fs, const FileSystemKind& kind,
                                    const StoreLayout& store, const Uuid& uuid,
                                    const stdfs::path& asked) {
  if (asked.empty() && !kind.remote) return {IndexPlace{store, true}, {}};
  const std::string name = folder_name(fs, store, uuid);
  if (!asked.empty()) return {IndexPlace{make_folder(fs, asked, name).layout, false}, {}};
  std::string problem = "no home directory";
  for (const stdfs::path& cache : cache_folders()) {
    try {
      const Folder folder = make_folder(fs, cache, name);
      check_owner(cache);
      std::string note;
      if (folder.is_new) {
        note = fmt::format(
            "{} is on a file system that others serve ({}): its index is kept in {}, a cache "
            "of this host",
            store.root.string(), kind.name, folder.layout.root.string());
      }
      return {IndexPlace{folder.layout, false}, std::move(note)};
    } catch (const Error& error) {
      problem = error.what();
    }
  }
  return {std::nullopt,
          fmt::format(
              "{} is on a file system that others serve ({}), and there is no local folder for its "
              "index ({}): every question reads the files, which is slow; set "
              "$CKPSTORE_CACHE to a local directory",
              store.root.string(), kind.name, problem)};
}

}  // namespace ckp

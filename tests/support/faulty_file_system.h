// A file system that fails when told to, and keeps a log of what it was asked.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ckp/error.h"
#include "ckp/file_system.h"

namespace ckp::test {

// What fails, counted in operations: calls of FileSystem and File, destructors excepted.
struct Fault {
  std::uint64_t at = 0;  // 1 is the first counted operation after plan(); 0: nothing fails
  ErrorCode code = ErrorCode::io;
  bool forever = false;     // every counted operation from `at` on fails, not that one alone
  bool torn_write = false;  // a failing write leaves the first half of its bytes in the file
  // Which operations are counted, by their log entry ("write a/b 0 128"); all when empty.
  std::function<bool(const std::string&)> only = {};
};

// Passes everything on to `base`. As with the real files, a write, sync or close that failed makes
// every later write and sync of that File fail, and truncating behind a failed write makes up for
// it. A failing operation does nothing (torn_write excepted); a failing close closes.
//
// The log holds one line an operation, paths relative to `root`: "open x", "create x",
// "create_new x", "read x OFFSET SIZE", "write x OFFSET SIZE", "sync x", "truncate x SIZE",
// "reserve x OFFSET SIZE", "status x", "lock x BYTE", "unlock x BYTE", "close x", "list x",
// "make_directory x", "rename a -> b", "remove x", "sync_directory x", "kind x". Thread-safe.
class FaultyFileSystem final : public FileSystem {
 public:
  explicit FaultyFileSystem(std::shared_ptr<FileSystem> base = posix_file_system(),
                            std::filesystem::path root = {});
  ~FaultyFileSystem() override;

  // Starts counting anew.
  void plan(Fault fault);
  // Nothing fails any more; files that failed stay as they are.
  void clear() { plan({}); }
  // Operations counted since plan(), and how many of them failed.
  std::uint64_t operations() const;
  std::uint64_t failures() const;
  std::string first_failure() const;  // its log entry; empty: none
  std::vector<std::string> log() const;
  void clear_log();

  std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override;
  std::optional<FileStatus> status(const std::filesystem::path& path) override;
  std::vector<std::string> list(const std::filesystem::path& directory) override;
  bool make_directory(const std::filesystem::path& path) override;
  void rename(const std::filesystem::path& from, const std::filesystem::path& to,
              bool replace) override;
  bool remove(const std::filesystem::path& path) override;
  void sync_directory(const std::filesystem::path& path) override;
  FileSystemKind kind(const std::filesystem::path& path) override;

 private:
  class State;
  class FaultyFile;
  std::shared_ptr<State> state_;
  std::shared_ptr<FileSystem> base_;
};

}  // namespace ckp::test

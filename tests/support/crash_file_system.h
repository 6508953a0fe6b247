// A file system that records every change, so that the states a crash can leave can be made again.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "support/crash_disk.h"
#include "support/forwarding_file_system.h"

namespace ckp::test {

// LMDB writes its file past the seam: it is looked at before each recorded operation.
struct IndexSnapshot {
  std::size_t position = 0;  // it was so before this operation of the log
  FileStatus status;
  std::uint64_t transaction = 0;       // LMDB's last one
  std::shared_ptr<const Bytes> bytes;  // nothing: there was no index
};

// Before operation `position` of the log was done, the index was synced.
struct IndexSync {
  std::size_t position = 0;
  std::uint64_t inode = 0;
  std::uint64_t transaction = 0;
};

struct Recording {
  Disk start;                      // before the first operation
  std::vector<DiskOperation> log;  // renames of a store's index directories excepted
  std::vector<IndexSnapshot> indexes;
  std::vector<IndexSync> index_syncs;
  std::filesystem::path root;  // where it was recorded
};

// Passes everything on and records what changes something below `root`, a directory that holds
// exactly what `start` shows. A write is recorded in pieces, since a crash may come in the middle
// of one. Errors of the file system below are not expected. Thread-safe as far as the Files are.
class CrashFileSystem final : public ForwardingFileSystem {
 public:
  explicit CrashFileSystem(std::filesystem::path root, Disk start = Disk(),
                           std::shared_ptr<FileSystem> base = posix_file_system());

  // Operations so far: how the log's prefixes are numbered.
  std::size_t position() const { return recording_.log.size(); }
  const Disk& disk() const { return disk_; }
  // Of everything so far; the index is looked at once more.
  const Recording& recording();

  // Called before an operation is done, with its text ("sync store/runs/a/x.tmp"); it may do work
  // of its own on the same file system.
  std::function<void(const std::string& operation)> before;

  std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override;
  bool make_directory(const std::filesystem::path& path) override;
  void rename(const std::filesystem::path& from, const std::filesystem::path& to,
              bool replace) override;
  bool remove(const std::filesystem::path& path) override;
  void sync_directory(const std::filesystem::path& path) override;

 private:
  class RecordedFile;
  class IndexFile;
  // Relative to the root; empty for what is not recorded.
  std::filesystem::path recorded_path(const std::filesystem::path& path) const;
  void announce(const std::string& operation);
  void record(DiskOperation operation);
  void record_entry(DiskOperation::Kind kind, const std::filesystem::path& path, NodeId node,
                    const std::string& new_name = {});
  void look_at_index();
  void index_synced(const std::filesystem::path& path);

  Disk disk_;
  Recording recording_;
};

}  // namespace ckp::test

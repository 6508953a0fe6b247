// Listens to what is done to stores and says when it is not in the order of spec/commit.md.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "ckp/file_system.h"
#include "ckp/format/store_identity.h"

namespace ckp::test {

// Knows stores by their paths: "lock" and "runs/" below a root. Judges by the operations alone, of
// this process alone, and only such as have succeeded. One object may listen to any number of file
// systems and threads.
class OrderOracle {
 public:
  // Gets the rule's name and what broke it: "C6: runs/a has not been synced since ...".
  using Report = std::function<void(const std::string& violation)>;
  explicit OrderOracle(Report report) : report_(std::move(report)) {}

  // Passes everything on to `base` and tells `oracle`.
  static std::shared_ptr<FileSystem> listen(std::shared_ptr<OrderOracle> oracle,
                                            std::shared_ptr<FileSystem> base);

 private:
  class ListeningFile;
  class ListeningFileSystem;
  using Path = std::filesystem::path;
  using Block = format::StateBlock;

  // From taking a store's lock to giving it back.
  struct Session {
    std::thread::id holder;
    std::uint64_t number = 0;              // the highest that the state block had
    std::set<Path> to_finish;              // L2: what an earlier process may have left undurable
    std::optional<std::string> announced;  // C4: the run directory, until `end`
    std::set<Path> renamed_in;             // directories with renames that are not durable
    std::set<Path> retired_in;             // those among them in which checkpoints were retired
    std::set<Path> committed;              // live names given in this session
    bool index_written = false;            // since `announced`
  };

  void store_locked(const Path& root, FileSystem& fs, const File& lock);
  void store_unlocked(const Path& root);
  void index_locked(const Path& root, LockKind kind);
  void index_unlocked() { --index_locks_held(); }
  void block_written(const Path& root, std::span<const std::byte> bytes);
  void file_created(const Path& path);
  void file_written(const Path& path);
  void file_synced(const Path& path);
  void entry_made(const Path& path);
  void renamed(const Path& from, const Path& to, bool may_replace, bool replaced, FileSystem& fs);
  void removed(const Path& path);
  void directory_synced(const Path& path);

  void pack_renamed(const Path& from, const Path& to);
  void check_trash_announced(const Path& to, FileSystem& fs);
  void pack_put_back(const Path& from, const Path& to);
  void pack_committed(Session& session, const Path& from, const Path& to);
  void pack_died(Session& session, const Path& from, const Path& to);
  void run_renamed(const Path& from, const Path& to, FileSystem& fs);
  void identity_renamed(const Path& to);
  void check_announced(const Session& session, const Path& path, const char* rule);
  void check_parents(const Path& directory, const Path& root);
  void check_finished(const Session& session, const Path& path);
  void check_clean(const Path& file, const char* rule);
  Session* session_of(const Path& root, const Path& path, const char* rule);
  bool entry_is_durable(const Path& path) const;
  void violation(const char* rule, const Path& path, const std::string& what) const;
  static int& index_locks_held();

  Report report_;
  mutable std::recursive_mutex mutex_;
  std::map<Path, Session> sessions_;               // by the store's root
  std::map<Path, std::set<std::string>> changed_;  // entries of directories that are not durable
  std::map<Path, bool> clean_;                     // files: synced since the last write
};

}  // namespace ckp::test

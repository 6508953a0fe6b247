// A small store with a known content, and the question whether what it says is true.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ckp/store.h"
#include "support/sanitizer.h"

namespace ckp::test {

// Exhaustive loops go on by this much: sanitized builds are slow, and there to find memory errors,
// of which the neighbours of a bit show the same.
constexpr std::uint64_t stride = sanitized ? 11 : 1;

// A checkpoint as it was saved.
struct SavedCheckpoint {
  CheckpointRecord record;
  std::map<std::string, std::vector<std::byte>> tensors;  // elements by name
};

struct SavedRun {
  Uuid id;
  std::string name;
  std::vector<SavedCheckpoint> line;  // oldest first; all are resumable
};

enum class MoreSaves { none, patch, difference, derived };

// Two runs and three checkpoints: "first" has two attempts with one each, "second" has one; all
// share a chunk. Every tensor has few stored bytes, so that most bytes of a pack are structure.
// `salt` makes another store of the same shape. `more`: the last checkpoint is one more, a patch of
// the weights of the one before, or differences to them, or has others and their rounding.
class SampleStore {
 public:
  explicit SampleStore(const std::filesystem::path& path, int salt = 0,
                       MoreSaves more = MoreSaves::none);

  const std::filesystem::path& path() const { return path_; }
  const std::vector<SavedRun>& runs() const { return runs_; }
  // The store's files: STORE, lock, journals and packs. Neither the reserve nor the index.
  std::vector<std::filesystem::path> files() const;
  std::vector<std::filesystem::path> packs() const;
  std::vector<std::filesystem::path> journals() const;
  std::filesystem::path pack_of(const CheckpointRecord& checkpoint) const;
  // The checkpoint whose own pack this is.
  const SavedCheckpoint* saved_in(const std::filesystem::path& pack) const;

 private:
  std::filesystem::path path_;
  std::vector<SavedRun> runs_;
};

struct LookOptions {
  bool rebuild = false;      // make the index anew first, as after its loss
  bool lists = true;         // also ask for runs and checkpoints
  bool resume = true;        // also resume every run, which writes
  std::set<Uuid> only = {};  // checkpoints to load; empty: all
};

// What a store with damage said about itself.
struct Answers {
  // Lies: bytes that were never saved, a checkpoint that never was, a resume from another than the
  // newest one that loads. Must stay empty.
  std::vector<std::string> wrong;
  // Errors, as their messages.
  std::vector<std::string> refused;
  std::set<Uuid> loaded;  // checkpoints that came back bit by bit
  std::optional<VerifyReport> report;

  // Whether verify said something about this file: as damage, or (where noted) as a note.
  bool finds(const std::filesystem::path& file) const;
  bool notes(const std::filesystem::path& file) const;
  // Whether it could not be opened for its STORE file: then nothing else is looked at.
  bool has_no_store() const;
};

// Opens the store through `fs` and asks everything there is to ask; verify always.
Answers look(const SampleStore& truth, std::shared_ptr<FileSystem> fs,
             const LookOptions& options = {});
// The same of a store that is open already.
Answers look(const SampleStore& truth, FileSystem& fs, Store& store, const LookOptions& options);

}  // namespace ckp::test

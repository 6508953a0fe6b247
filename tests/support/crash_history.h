// What was done to a store while it was recorded, and whether what a crash left agrees with it.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ckp/store.h"

namespace ckp::test {

// A small model: two chunks that never change, so that saves share them, one that changes with each
// version, and a plain value. From the first patched version on it has a table of which few rows
// change with each version; from the first differing one on, all of the table changes by little;
// from the first derived one on, it is another table each time, and there is its rounding, too.
class CrashModel {
 public:
  static constexpr int first_patched = 1000, first_differing = 2000, first_derived = 3000;
  explicit CrashModel(int version);
  StateDict dict() const;
  // Whether the checkpoint holds exactly this.
  bool is_in(const Checkpoint& checkpoint) const;
  // Small chunks, one thread.
  static SaveOptions save_options(int version);

 private:
  int version_;
  std::vector<float> frozen_, trained_, table_;
  std::vector<std::uint16_t> half_;
};

// Positions are those of a CrashFileSystem. The version of a checkpoint is its epoch.
class CrashHistory {
 public:
  static constexpr std::size_t never = std::numeric_limits<std::size_t>::max();

  enum class Place { nowhere, live, trash };

  void creating_store(std::size_t position) { store_.begin(position, Place::live); }
  void created_store(std::size_t position) { store_.end(position); }
  void creating_run(const std::string& run, std::size_t position) {
    runs_[run].begin(position, Place::live);
  }
  void created_run(const std::string& run, std::size_t position) { runs_[run].end(position); }
  void removing_run(const std::string& run, std::size_t position);
  void removed_run(const std::string& run, std::size_t position);
  void saving(const std::string& run, int version, std::size_t position);
  void saved(const std::string& run, int version, std::size_t position);
  // From one place to another: removals, the trash, and the way back.
  void moving(const std::string& run, int version, Place to, std::size_t position);
  void moved(const std::string& run, int version, std::size_t position);
  // For those who go on where others were stopped: what had been done at `position` is done, what
  // had been begun may be, and positions start anew.
  CrashHistory continued(std::size_t position) const;
  // What had only been begun has now been seen in the store, or else will never be there.
  void settle(const Store& store);

  // Where the obligations change.
  std::set<std::size_t> milestones() const;
  // Acknowledged saves that no removal had touched.
  std::uint64_t acknowledged(std::size_t position) const;

  bool store_must_exist(std::size_t position) const {
    return store_.must_be(Place::live, position);
  }
  // What is wrong with what the store shows after a crash at `position`; empty: nothing. Reads
  // every byte of every checkpoint.
  std::vector<std::string> compare(const Store& store, std::size_t position) const;

 private:
  struct Move {
    std::size_t begun = 0, done = never;
    Place to = Place::live;
  };
  // Comes from nowhere.
  struct Life {
    std::vector<Move> moves;  // one after the other
    void begin(std::size_t at, Place to) { moves.push_back({at, never, to}); }
    void end(std::size_t at) { moves.back().done = at; }
    void settle(Place at) { moves = {{0, 0, at}}; }
    std::set<Place> places(std::size_t at) const;
    bool must_be(Place place, std::size_t at) const { return places(at) == std::set{place}; }
    bool may_be(Place place, std::size_t at) const { return places(at).contains(place); }
  };
  using Checkpoints = std::map<std::pair<std::string, int>, Life>;
  void compare_run(const Store& store, const RunRecord& run, std::size_t position,
                   std::set<std::pair<std::string, int>>& found,
                   std::vector<std::string>& problems) const;
  void compare_trash(const Store& store, std::size_t position,
                     const std::set<std::pair<std::string, int>>& live,
                     std::vector<std::string>& problems) const;

  Life store_;
  std::map<std::string, Life> runs_;
  Checkpoints checkpoints_;
};

// Opens the store below `directory` ("store") after a crash and uses it: asks, compares with the
// history, verifies every byte, saves once more (resuming the newest checkpoint) and verifies
// again. With `prune` it also prunes and saves another one. What is in the trash is brought back in
// the end. What went wrong; empty: nothing.
std::vector<std::string> use_after_crash(const std::filesystem::path& directory,
                                         const CrashHistory& history, std::size_t position,
                                         bool prune,
                                         std::shared_ptr<FileSystem> fs = posix_file_system());

}  // namespace ckp::test

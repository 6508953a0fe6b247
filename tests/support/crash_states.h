// Every state that a crash can leave behind, as many of them as asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <random>
#include <set>
#include <string>

#include "support/crash_file_system.h"

namespace ckp::test {

enum class CrashKind {
  kill,       // of the processes: all that they did stays, and the machine runs on
  power_cut,  // what was not synced stays or goes, and the machine has booted since
};

struct CrashState {
  CrashKind kind = CrashKind::kill;
  std::size_t position = 0;                    // operations of the log that were done
  DiskImage files;                             // without indexes
  const IndexSnapshot* index = nullptr;        // nothing: none is there
  const IndexSnapshot* older_index = nullptr;  // its headers are these: a write transaction was cut
  std::uint64_t choice = 0;                    // random bits for whoever fills in the rest
  std::string text;                            // what was lost, for people
};

struct CrashLimits {
  std::size_t first = 0;  // from this position on
  std::size_t states_per_position = 16;
  bool kills = true;
  bool power_cuts = true;
  // Positions from which on a crash must leave something else than before: equal files are looked
  // at once for each.
  std::set<std::size_t> milestones = {};
};

// Calls `visit` for each state. The order and the choices depend on the seed and the recording
// alone. Returns how many different ones there were, in any file or the index.
std::uint64_t for_each_crash_state(const Recording& recording, const CrashLimits& limits,
                                   std::uint64_t seed,
                                   const std::function<void(const CrashState&)>& visit);

// Makes the state's files, its index and, in the store's lock file, what belongs to the new places:
// the index file's inode, and for a power cut another boot. `directory` must exist and be empty.
void write_state(const std::filesystem::path& directory, const CrashState& state);

// What a power cut at `position` leaves when nothing survives that was not synced.
CrashState only_synced(const Recording& recording, std::size_t position, std::uint64_t choice);

}  // namespace ckp::test

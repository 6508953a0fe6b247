// What must be true of a store whatever has happened to it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "ckp/store.h"
#include "support/small_state.h"

namespace ckp::test {

// Of most states here: a few KiB, so that thousands of saves take seconds.
constexpr std::size_t tensor_size = 3'000;

// What is saved as that version. Those above 100 differ in few bytes of a tensor that is just large
// enough for patches.
SmallState fault_state(int version);

struct Expected {
  std::string address;  // "a@1"
  int version = 0;      // of the fault_state()
};

// The store opens, every stored byte verifies, and these checkpoints are there and load.
void expect_holds(const std::filesystem::path& store, const std::vector<Expected>& checkpoints);
// A new run can be made, saved into and read.
void expect_usable(const std::filesystem::path& store);

// Saves fault_state(version) as that epoch.
PendingSave begin_version(ckp::Run& run, int version, const std::string& tag = {});
SaveReport save_version(ckp::Run& run, int version, const std::string& tag = {});

// The files below `directory` with `part` in their names.
std::vector<std::string> files_named(const std::filesystem::path& directory,
                                     const std::string& part);

// Open descriptors of this process.
std::size_t open_descriptors();

}  // namespace ckp::test

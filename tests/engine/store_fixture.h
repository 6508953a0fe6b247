// A store in a temporary directory, and saves of small states into it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ckp/error.h"
#include "ckp/store.h"
#include "support/expect_error.h"
#include "support/small_state.h"
#include "support/temporary_directory.h"

namespace ckp::test {

class StoreTest : public ::testing::Test {
 protected:
  explicit StoreTest(const std::filesystem::path& parent = std::filesystem::temp_directory_path())
      : directory_(parent) {}
  std::filesystem::path path() const { return directory_ / "store"; }
  static RunOptions run_options(const std::string& name) {
    RunOptions options;
    options.name = name;
    options.directions = {{"val/loss", Better::lower}};
    options.best_metric = "val/loss";
    return options;
  }
  // Saves version `epoch` of the small state.
  static CheckpointRecord save(ckp::Run& run, int epoch, double loss = 1.0) {
    SaveOptions options;
    options.epoch = epoch;
    options.step = epoch * 100;
    options.metrics = {{"val/loss", loss}};
    return run.save(SmallState(epoch).dict(), options).wait().checkpoint;
  }
  static std::vector<std::int64_t> epochs(const std::vector<CheckpointRecord>& checkpoints) {
    std::vector<std::int64_t> all;
    for (const auto& checkpoint : checkpoints) all.push_back(checkpoint.epoch);
    return all;
  }

  TemporaryDirectory directory_;
};

}  // namespace ckp::test

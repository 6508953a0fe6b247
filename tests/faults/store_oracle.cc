#include "faults/store_oracle.h"

#include <gtest/gtest.h>

#include "support/small_state.h"

namespace ckp::test {

namespace stdfs = std::filesystem;

CheckpointRecord save_version(ckp::Run& run, int version, const std::string& tag) {
  SaveOptions options{.epoch = version, .step = 10 * version};
  options.metrics["loss"] = 1.0 / version;
  if (!tag.empty()) options.tags[tag] = true;
  options.encode.threads = 1;
  return run.save(SmallState(version, tensor_size).dict(), options).wait().checkpoint;
}

void expect_holds(const stdfs::path& path, const std::vector<Expected>& checkpoints) {
  const Store store = Store::open(path);
  const VerifyReport report = store.verify({.level = VerifyLevel::full, .threads = 1});
  for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
  EXPECT_TRUE(report.complete);
  for (const auto& [address, version] : checkpoints) {
    SCOPED_TRACE(address);
    const Checkpoint checkpoint = store.open_checkpoint(store.find(parse_address(address)));
    EXPECT_TRUE(SmallState(version, tensor_size).is_in(checkpoint)) << "other bytes";
  }
}

void expect_usable(const stdfs::path& path) {
  Store store = Store::open(path);
  ckp::Run run = store.create_run({.name = store.free_run_name("afterwards")});
  const CheckpointRecord saved = save_version(run, 90);
  run.finish(RunStatus::completed);
  EXPECT_TRUE(SmallState(90, tensor_size).is_in(store.open_checkpoint(saved)));
}

std::vector<std::string> files_named(const stdfs::path& directory, const std::string& part) {
  std::vector<std::string> found;
  for (const auto& entry : stdfs::recursive_directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name.find(part) != std::string::npos) found.push_back(name);
  }
  return found;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : stdfs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

}  // namespace ckp::test

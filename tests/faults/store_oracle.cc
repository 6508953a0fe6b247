#include "faults/store_oracle.h"

#include <gtest/gtest.h>

namespace ckp::test {

namespace stdfs = std::filesystem;

SmallState fault_state(int version) {
  if (version <= 100) return SmallState(version, tensor_size);
  if (version > 200) {
    SmallState trained(200, 16'384);
    for (int each = 201; each <= version; ++each) trained.train(each);
    return trained;
  }
  SmallState state(100, 16'384);
  for (int each = 101; each <= version; ++each) {
    state.change(static_cast<std::size_t>(each - 100) * 200, static_cast<float>(each));
  }
  return state;
}

PendingSave begin_version(ckp::Run& run, int version, const std::string& tag) {
  SaveOptions options{.epoch = version, .step = 10 * version};
  options.metrics["loss"] = 1.0 / version;
  if (!tag.empty()) options.tags[tag] = true;
  options.encode.threads = 1;
  return run.save(fault_state(version).dict(), options);
}

SaveReport save_version(ckp::Run& run, int version, const std::string& tag) {
  return begin_version(run, version, tag).wait();
}

void expect_holds(const stdfs::path& path, const std::vector<Expected>& checkpoints) {
  const Store store = Store::open(path);
  const VerifyReport report = store.verify({.level = VerifyLevel::full, .threads = 1});
  for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
  EXPECT_TRUE(report.complete);
  for (const auto& [address, version] : checkpoints) {
    SCOPED_TRACE(address);
    const Checkpoint checkpoint = store.open_checkpoint(store.find(parse_address(address)));
    EXPECT_TRUE(fault_state(version).is_in(checkpoint)) << "other bytes";
  }
}

void expect_usable(const stdfs::path& path) {
  Store store = Store::open(path);
  ckp::Run run = store.create_run({.name = store.free_run_name("afterwards")});
  const CheckpointRecord saved = save_version(run, 90).checkpoint;
  run.finish(RunStatus::completed);
  EXPECT_TRUE(fault_state(90).is_in(store.open_checkpoint(saved)));
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

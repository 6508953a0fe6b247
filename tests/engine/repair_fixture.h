// A store with something to lose, ways to damage it, and what must hold after a repair.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ckp/convert.h"
#include "ckp/format/pack.h"
#include "ckp/format/store_identity.h"
#include "ckp/repair.h"
#include "ckp/save.h"
#include "sample_states.h"
#include "store/layout.h"
#include "store_fixture.h"
#include "support/memory_directory.h"
#include "support/state_block.h"

namespace ckp::test {

// A run "cnn": epochs 1 to 4, of which 3 is 2 saved once more, and a run "twin" with a copy of
// epoch 1 that shares nothing.
class RepairTest : public StoreTest {
 protected:
  static constexpr std::size_t large = 20'000;  // elements: a chunk of its own
  static SmallState state(int epoch) { return SmallState(epoch == 3 ? 2 : epoch, large); }

  RepairTest() : StoreTest(memory_directory()) {}
  void SetUp() override {
    Store store = Store::create(path());
    ckp::Run run = store.create_run(run_options("cnn"));
    for (int epoch = 1; epoch <= 4; ++epoch) {
      run.log(epoch, epoch, {{"train/loss", 1.0 / epoch}});
      SaveOptions options;
      options.epoch = epoch;
      options.step = epoch;
      options.metrics = {{"val/loss", 1.0 / epoch}};
      const auto report = run.save(state(epoch).dict(), options).wait();
      saved_[epoch] = report.checkpoint;
      packs_[epoch] = report.path;
    }
    run.finish(RunStatus::completed);
    write_standalone(store.open_checkpoint(saved_[1]), directory_ / "one.ckp");
    twin_ = store.import_file(directory_ / "one.ckp", {.run = "twin"});
    run_directory_ = packs_[1].parent_path();
  }

  std::filesystem::path journal() const {
    for (const auto& entry : std::filesystem::directory_iterator(run_directory_)) {
      if (parse_journal_name(entry.path().filename().string())) return entry.path();
    }
    return {};
  }

  static void flip(const std::filesystem::path& file, std::uint64_t at) {
    auto bytes = read_bytes(file);
    ASSERT_LT(at, bytes.size());
    bytes[at] ^= std::byte{0x10};
    write_bytes(file, bytes);
  }
  static format::PackDirectory directory_of(const std::filesystem::path& pack) {
    const FileSource source(
        std::shared_ptr<const File>(posix_file_system()->open(pack, OpenMode::read)));
    return format::read_directory(source);
  }
  // Offset of the header of the largest chunk.
  static std::uint64_t large_chunk(const std::filesystem::path& pack) {
    std::uint64_t offset = 0, size = 0;
    for (const auto& entry : directory_of(pack).chunks) {
      if (entry.stored_size > size) offset = entry.offset, size = entry.stored_size;
    }
    return offset;
  }
  static void flip_payload(const std::filesystem::path& pack) {
    flip(pack, large_chunk(pack) + format::RecordHeader::size + 1000);
  }
  static void flip_manifest(const std::filesystem::path& pack, std::uint32_t copy) {
    flip(pack, directory_of(pack).manifests.at(copy).offset + format::RecordHeader::size + 9);
  }

  void hide_change_of_index() const { test::hide_change_of_index(path()); }

  // All files below the store with their bytes, but for the lock file and the index.
  std::map<std::string, std::vector<std::byte>> everything() const {
    std::map<std::string, std::vector<std::byte>> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path())) {
      const std::string name = entry.path().lexically_relative(path()).string();
      if (!entry.is_regular_file() || name == "lock" || name.starts_with("index")) continue;
      files[name] = read_bytes(entry.path());
    }
    return files;
  }

  // Plans, repairs, and checks what every repair promises. `damaged`: files as they are now whose
  // bytes must be found in set-aside.
  RepairReport repair_and_check(const std::vector<std::filesystem::path>& damaged) {
    std::map<std::filesystem::path, std::vector<std::byte>> originals;
    for (const auto& file : damaged) originals[file] = read_bytes(file);
    const auto before = everything();
    const RepairReport plan = plan_repair(path());
    EXPECT_EQ(everything(), before) << "a plan changes nothing";
    EXPECT_EQ(plan.set_aside, "");
    const RepairReport done = repair(path());
    expect_same(plan, done);
    for (const auto& [file, bytes] : originals) {
      const auto kept = std::filesystem::path(done.set_aside) / file.lexically_relative(path());
      EXPECT_TRUE(std::filesystem::exists(kept)) << kept;
      if (!std::filesystem::exists(kept)) continue;
      EXPECT_EQ(read_bytes(kept), bytes) << kept;
    }
    expect_clean();
    const RepairReport again = repair(path());
    EXPECT_TRUE(again.nothing_to_do());
    for (const RepairStep& step : again.steps) ADD_FAILURE() << "again: " << step.message;
    return done;
  }

  static void expect_same(const RepairReport& plan, const RepairReport& done) {
    ASSERT_EQ(plan.steps.size(), done.steps.size());
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      EXPECT_EQ(to_string(plan.steps[i].action), to_string(done.steps[i].action));
      EXPECT_EQ(plan.steps[i].path, done.steps[i].path);
      EXPECT_EQ(plan.steps[i].missing, done.steps[i].missing);
      EXPECT_EQ(plan.steps[i].restores, done.steps[i].restores);
      EXPECT_EQ(plan.steps[i].chunks_mended, done.steps[i].chunks_mended);
    }
  }

  void expect_clean() const {
    const VerifyReport report = Store::open(path()).verify({.level = VerifyLevel::full});
    EXPECT_TRUE(report.clean());
    for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
    // The index says what the files say, also when it is made anew.
    Store store = Store::open(path());
    const auto listed = store.checkpoints(saved_.at(1).run);
    store.rebuild_index();
    EXPECT_EQ(listed, store.checkpoints(saved_.at(1).run));
  }

  // These epochs load bit by bit, under their old ids, and no others of the line are there.
  void expect_epochs(const std::set<int>& expected) const {
    const Store store = Store::open(path());
    std::set<int> found;
    for (const auto& checkpoint : store.checkpoints(saved_.at(1).run)) {
      if (checkpoint.salvaged_from) continue;
      const int epoch = static_cast<int>(checkpoint.epoch);
      EXPECT_EQ(checkpoint.id, saved_.at(epoch).id);
      EXPECT_TRUE(state(epoch).is_in(store.open_checkpoint(checkpoint))) << epoch;
      found.insert(epoch);
    }
    EXPECT_EQ(found, expected);
    EXPECT_TRUE(state(1).is_in(store.open_checkpoint(twin_)));
  }

  std::vector<CheckpointRecord> salvaged() const {
    std::vector<CheckpointRecord> found;
    for (auto& checkpoint : Store::open(path()).checkpoints(saved_.at(1).run)) {
      if (checkpoint.salvaged_from) found.push_back(std::move(checkpoint));
    }
    return found;
  }

  // What was saved of `epoch`: all tensors but `missing`, each bit by bit.
  void expect_salvaged(const CheckpointRecord& record, int epoch,
                       const std::vector<std::string>& missing) const {
    EXPECT_EQ(record.salvaged_from, saved_.at(epoch).id);
    EXPECT_EQ(record.missing, missing);
    EXPECT_EQ(record.epoch, epoch);
    EXPECT_FALSE(record.resumable());
    const Checkpoint checkpoint = Store::open(path()).open_checkpoint(record);
    EXPECT_TRUE(checkpoint.values().contains("progress"));
    EXPECT_EQ(checkpoint.manifest().tensors.size() + missing.size(), 2u);
    const SmallState original = state(epoch);
    const StateDict dict = original.dict();
    for (const auto& tensor : checkpoint.manifest().tensors) {
      const TensorView& expected = dict.tensors().find(tensor.name)->second;
      const auto bytes = checkpoint.read(tensor.name);
      EXPECT_TRUE(
          std::equal(bytes.begin(), bytes.end(), static_cast<const std::byte*>(expected.storage)))
          << tensor.name;
    }
  }

  std::map<int, CheckpointRecord> saved_;
  std::map<int, std::filesystem::path> packs_;
  CheckpointRecord twin_;
  std::filesystem::path run_directory_;
};

}  // namespace ckp::test

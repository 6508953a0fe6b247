// Repair of checkpoints that are patches on others, or differences to them.
#include "repair_fixture.h"

namespace ckp {
namespace {

using test::read_bytes;
using test::RepairTest;
using test::SmallState;
using test::write_bytes;

// A run "words" besides, of which epochs 2 and 3 each patch the large tensor of the one before.
class RepairPatchesTest : public RepairTest {
 protected:
  void SetUp() override {
    RepairTest::SetUp();
    Store store = Store::open(path());
    ckp::Run run = store.create_run(run_options("words"));
    for (int epoch = 1; epoch <= 3; ++epoch) {
      SaveOptions options;
      options.epoch = options.step = epoch;
      const SaveReport report = run.save(words(epoch).dict(), options).wait();
      ASSERT_EQ(report.patches_written, epoch > 1 ? 1u : 0u);
      files_[epoch] = report.path;
      good_[epoch] = read_bytes(report.path);
    }
    run.finish(RunStatus::completed);
  }
  static SmallState words(int epoch) {
    SmallState state(50, large);
    for (int i = 2; i <= epoch; ++i)
      state.change(static_cast<std::size_t>(i) * 1000, static_cast<float>(i));
    return state;
  }
  // In its own pack the patch is the largest chunk of a later epoch.
  void damage_chunk(int epoch) const {
    flip(files_.at(epoch), large_chunk(files_.at(epoch)) + format::RecordHeader::size + 100);
  }
  // These epochs are whole; of these there is all but the large tensor.
  void expect_words(const std::set<int>& whole, const std::set<int>& in_part) const {
    const Store store = Store::open(path());
    std::set<int> found, salvaged;
    for (const CheckpointRecord& record : store.checkpoints(store.run("words").id)) {
      const int epoch = static_cast<int>(record.epoch);
      const Checkpoint checkpoint = store.open_checkpoint(record);
      if (!record.salvaged_from) {
        EXPECT_TRUE(words(epoch).is_in(checkpoint)) << epoch;
        found.insert(epoch);
        continue;
      }
      salvaged.insert(epoch);
      EXPECT_EQ(record.missing, std::vector<std::string>{"model/large"});
      const SmallState state = words(epoch);
      const StateDict dict = state.dict();
      const TensorView& small = dict.tensors().find("model/small")->second;
      EXPECT_TRUE(checkpoint.read("model/small") == test::elements_of(small)) << epoch;
    }
    EXPECT_EQ(found, whole);
    EXPECT_EQ(salvaged, in_part);
  }
  // What was salvaged of these stays beside them.
  void put_back_and_expect_all(const std::set<int>& salvaged) {
    for (const auto& [epoch, bytes] : good_) write_bytes(files_[epoch], bytes);
    const RepairReport done = repair_and_check({});
    EXPECT_TRUE(done.restores_all());
    expect_words({1, 2, 3}, salvaged);
    expect_epochs({1, 2, 3, 4});
  }

  std::map<int, std::filesystem::path> files_;
  std::map<int, std::vector<std::byte>> good_;
};

TEST_F(RepairPatchesTest, ALostPatchCostsItsTensorsAndAGoodCopyHeals) {
  damage_chunk(2);
  const VerifyReport found = Store::open(path()).verify();
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings[0].path, files_[2].string());
  EXPECT_EQ(found.findings[0].tensor, "model/large");
  EXPECT_EQ(found.findings[0].other_checkpoints, 1u);
  EXPECT_FALSE(repair_and_check({files_[2], files_[3]}).restores_all());
  expect_words({1}, {2, 3});
  put_back_and_expect_all({2, 3});
}

TEST_F(RepairPatchesTest, OnlyTheLastPatchIsLost) {
  damage_chunk(3);
  EXPECT_FALSE(repair_and_check({files_[3]}).restores_all());
  expect_words({1, 2}, {3});
  put_back_and_expect_all({3});
}

TEST_F(RepairPatchesTest, WhatThePatchesLieOnIsLost) {
  damage_chunk(1);
  EXPECT_FALSE(repair_and_check({files_[1], files_[2], files_[3]}).restores_all());
  expect_words({}, {1, 2, 3});
  put_back_and_expect_all({1, 2, 3});
}

TEST_F(RepairPatchesTest, TheFileOfAPatchIsMissing) {
  std::filesystem::remove(files_[2]);
  EXPECT_FALSE(repair_and_check({files_[3]}).restores_all());
  expect_words({1}, {3});
  write_bytes(files_[2], good_[2]);
  repair_and_check({});
  expect_words({1, 2}, {3});
  put_back_and_expect_all({3});
}

TEST_F(RepairPatchesTest, APatchIsFilledFromAnIdenticalOne) {
  {
    Store store = Store::open(path());
    const Uuid last = store.find(parse_address("words@3")).id;
    write_standalone(store.open_checkpoint(store.find(parse_address("words@3"))),
                     directory_ / "words.ckp");
    EXPECT_NE(store.import_file(directory_ / "words.ckp", {.run = "copy"}).id, last);
  }
  for (int epoch = 1; epoch <= 3; ++epoch) {
    damage_chunk(epoch);
    const RepairReport done = repair_and_check({files_[epoch]});
    EXPECT_TRUE(done.restores_all());
    EXPECT_EQ(done.steps.at(0).chunks_mended, 1u);
    expect_words({1, 2, 3}, {});
  }
}

// A run "weights" besides, of which epochs 2 and 3 are each a difference to the large tensor of the
// one before.
class RepairDifferencesTest : public RepairTest {
 protected:
  void SetUp() override {
    RepairTest::SetUp();
    Store store = Store::open(path());
    ckp::Run run = store.create_run(run_options("weights"));
    for (int epoch = 1; epoch <= 3; ++epoch) {
      SaveOptions options;
      options.epoch = options.step = epoch;
      const SaveReport report = run.save(dense(epoch).dict(), options).wait();
      ASSERT_EQ(report.differences_written, epoch > 1 ? 1u : 0u);
      files_[epoch] = report.path;
      good_[epoch] = read_bytes(report.path);
    }
    run.finish(RunStatus::completed);
  }
  static SmallState dense(int epoch) {
    SmallState state(60, large);
    for (int i = 2; i <= epoch; ++i) {
      state.train(i);
      state.change(0, static_cast<float>(i));
    }
    return state;
  }
  void expect_dense(const std::set<int>& whole, const std::set<int>& in_part) const {
    const Store store = Store::open(path());
    std::set<int> found, salvaged;
    for (const CheckpointRecord& record : store.checkpoints(store.run("weights").id)) {
      const int epoch = static_cast<int>(record.epoch);
      const Checkpoint checkpoint = store.open_checkpoint(record);
      (record.salvaged_from ? salvaged : found).insert(epoch);
      if (record.salvaged_from) {
        EXPECT_EQ(record.missing, std::vector<std::string>{"model/large"});
      } else {
        EXPECT_TRUE(dense(epoch).is_in(checkpoint)) << epoch;
      }
    }
    EXPECT_EQ(found, whole);
    EXPECT_EQ(salvaged, in_part);
  }
  // What this epoch has stored, and so all that lies on it.
  void lose(int damaged) {
    flip_payload(files_[damaged]);
    std::vector<std::filesystem::path> hit;
    std::set<int> whole, in_part;
    for (int epoch = 1; epoch <= 3; ++epoch) {
      if (epoch >= damaged) hit.push_back(files_[epoch]);
      (epoch >= damaged ? in_part : whole).insert(epoch);
    }
    EXPECT_FALSE(repair_and_check(hit).restores_all());
    expect_dense(whole, in_part);
  }

  std::map<int, std::filesystem::path> files_;
  std::map<int, std::vector<std::byte>> good_;
};

TEST_F(RepairDifferencesTest, ALostDifferenceCostsItsTensorsAndAGoodCopyHeals) {
  lose(2);
  for (const auto& [epoch, bytes] : good_) write_bytes(files_[epoch], bytes);
  EXPECT_TRUE(repair_and_check({}).restores_all());
  expect_dense({1, 2, 3}, {2, 3});
}

TEST_F(RepairDifferencesTest, OnlyTheLastDifferenceIsLost) { lose(3); }

TEST_F(RepairDifferencesTest, WhatTheDifferencesLieOnIsLost) { lose(1); }

}  // namespace
}  // namespace ckp

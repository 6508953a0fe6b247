// Repair of packs: for every kind of damage, what it plans, what it does, and what is left.
#include "ckp/repair.h"

#include <algorithm>

#include "ckp/query.h"
#include "repair_fixture.h"

namespace ckp {
namespace {

using test::expect_error;
using test::read_bytes;
using test::RepairTest;
using test::SmallState;
using test::write_bytes;

std::vector<RepairAction> actions(const RepairReport& report) {
  std::vector<RepairAction> all;
  for (const RepairStep& step : report.steps) all.push_back(step.action);
  return all;
}

using Actions = std::vector<RepairAction>;

TEST_F(RepairTest, ASoundStoreNeedsNothing) {
  const auto before = everything();
  const RepairReport report = repair(path());
  EXPECT_TRUE(report.nothing_to_do());
  EXPECT_TRUE(report.restores_all());
  EXPECT_EQ(report.set_aside, "");
  EXPECT_EQ(everything(), before);
}

// What stands twice, or can be made again, comes back whole, without a twin.
TEST_F(RepairTest, DamageAroundTheChunksIsMended) {
  const std::uint64_t size = std::filesystem::file_size(packs_[4]);
  const auto directory = directory_of(packs_[4]);
  const std::uint64_t table = directory.manifests[0].offset + format::RecordHeader::size +
                              directory.manifests[0].stored_size + 200;
  const std::map<std::string, std::function<void()>> damages = {
      {"pack header", [&] { flip(packs_[4], 50); }},
      {"trailer", [&] { flip(packs_[4], size - 60); }},
      {"chunk table", [&] { flip(packs_[4], table); }},
      {"first manifest", [&] { flip_manifest(packs_[4], 0); }},
      {"second manifest", [&] { flip_manifest(packs_[4], 1); }},
      {"cut behind the first manifest",
       [&] { std::filesystem::resize_file(packs_[4], directory.manifests[1].offset); }},
      {"bytes behind the end", [&] { std::filesystem::resize_file(packs_[4], size + 100); }},
      {"header and trailer", [&] { flip(packs_[4], 50), flip(packs_[4], size - 60); }},
  };
  for (const auto& [name, damage] : damages) {
    SCOPED_TRACE(name);
    ASSERT_NO_FATAL_FAILURE(damage());
    const VerifyReport found = Store::open(path()).verify();
    EXPECT_FALSE(found.findings.empty());
    const RepairReport done = repair_and_check({packs_[4]});
    EXPECT_EQ(actions(done), Actions{RepairAction::mend_pack});
    EXPECT_TRUE(done.restores_all());
    EXPECT_EQ(done.steps.at(0).checkpoint, saved_[4].id.hex());
    expect_epochs({1, 2, 3, 4});
  }
  EXPECT_EQ(directory_of(packs_[4]).header.generation, damages.size());
}

TEST_F(RepairTest, ADamagedChunkIsFilledFromAnIdenticalOne) {
  const std::map<std::string, std::uint64_t> places = {{"payload", format::RecordHeader::size + 7},
                                                       {"chunk header", 30}};
  for (const auto& [name, offset] : places) {
    SCOPED_TRACE(name);
    flip(packs_[1], large_chunk(packs_[1]) + offset);
    const RepairReport done = repair_and_check({packs_[1]});
    EXPECT_EQ(actions(done), Actions{RepairAction::mend_pack});
    EXPECT_EQ(done.steps.at(0).chunks_mended, 1u);
    EXPECT_TRUE(done.restores_all());
    expect_epochs({1, 2, 3, 4});
  }
  // And the other way round.
  Store store = Store::open(path());
  const std::string twin = store.open_checkpoint(twin_).name();
  flip_payload(twin);
  repair_and_check({twin});
  expect_epochs({1, 2, 3, 4});
}

TEST_F(RepairTest, ADamagedChunkWithoutATwinCostsOnlyItsTensors) {
  flip_payload(packs_[4]);
  EXPECT_EQ(Store::open(path()).verify().findings.size(), 1u);
  const RepairReport done = repair_and_check({packs_[4]});
  EXPECT_EQ(actions(done), Actions{RepairAction::salvage});
  EXPECT_FALSE(done.restores_all());
  EXPECT_EQ(done.steps.at(0).missing, std::vector<std::string>{"model/large"});
  EXPECT_EQ(done.steps.at(0).tensors_saved, 1u);
  expect_epochs({1, 2, 3});
  const auto saved = salvaged();
  ASSERT_EQ(saved.size(), 1u);
  EXPECT_EQ(saved[0].id.hex(), done.steps.at(0).salvaged);
  EXPECT_GT(saved[0].commit, saved_[4].commit);
  expect_salvaged(saved[0], 4, {"model/large"});
}

TEST_F(RepairTest, ASalvagedCheckpointIsNeitherLatestNorBestNorResumedNorPruned) {
  flip_payload(packs_[4]);
  repair(path());
  Store store = Store::open(path());
  EXPECT_EQ(store.find(parse_address("cnn@latest")).epoch, 3);
  EXPECT_EQ(store.find(parse_address("cnn@best")).epoch, 3);
  expect_error(ErrorCode::not_found, "", [&] { store.find(parse_address("cnn@4")); });
  const auto saved = salvaged().at(0);
  EXPECT_EQ(store.find(parse_address("cnn@" + saved.id.hex())).id, saved.id);
  KeepPolicy policy;
  policy.last = 1;
  store.prune(policy);
  EXPECT_EQ(salvaged().size(), 1u);
  EXPECT_TRUE(store.verify().clean());
  ckp::Run run = store.resume_run("cnn");
  EXPECT_EQ(run.continued_from()->record().epoch, 3);
}

TEST_F(RepairTest, CheckpointsThatShareALostChunkAreSalvagedEach) {
  ASSERT_FALSE(directory_of(packs_[2]).chunks.empty());
  flip_payload(packs_[2]);
  const VerifyReport found = Store::open(path()).verify();
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings[0].other_checkpoints, 1u);
  const RepairReport done = repair_and_check({packs_[2], packs_[3]});
  EXPECT_EQ(actions(done), (Actions{RepairAction::salvage, RepairAction::salvage}));
  expect_epochs({1, 4});
  const auto saved = salvaged();
  ASSERT_EQ(saved.size(), 2u);
  for (const auto& one : saved) {
    expect_salvaged(one, static_cast<int>(one.epoch), {"model/large"});
  }
}

TEST_F(RepairTest, SalvagedCheckpointsAreInTheOrderOfTheDamagedOnes) {
  {
    Store store = Store::open(path());
    ckp::Run run = store.resume_run("cnn");
    for (int epoch = 5; epoch <= 9; ++epoch) {
      SaveOptions options;
      options.epoch = options.step = epoch;
      const SmallState one = state(epoch);
      packs_[epoch] = run.save(one.dict(), options).wait().path;
    }
  }
  std::vector<std::int64_t> expected, found;
  for (int epoch = 4; epoch <= 9; ++epoch) {
    flip_payload(packs_[epoch]);
    expected.push_back(epoch);
  }
  repair(path());
  auto saved = salvaged();
  std::sort(saved.begin(), saved.end(),
            [](const auto& a, const auto& b) { return a.commit < b.commit; });
  for (const auto& one : saved) found.push_back(one.epoch);
  EXPECT_EQ(found, expected);
}

TEST_F(RepairTest, WithBothManifestsLostTheChunksStayForOthers) {
  flip_manifest(packs_[2], 0);
  flip_manifest(packs_[2], 1);
  const RepairReport done = repair_and_check({packs_[2]});
  EXPECT_EQ(actions(done), Actions{RepairAction::keep_chunks});
  EXPECT_FALSE(done.restores_all());
  expect_epochs({1, 3, 4});
  // Nothing stops the collection, which leaves what epoch 3 needs.
  Store store = Store::open(path());
  KeepPolicy policy;
  policy.last = 10;
  store.prune(policy);
  expect_epochs({1, 3, 4});
}

TEST_F(RepairTest, OfATruncatedPackTheChunksAreKept) {
  std::filesystem::resize_file(packs_[2], directory_of(packs_[2]).manifests[0].offset);
  const RepairReport done = repair_and_check({packs_[2]});
  EXPECT_EQ(actions(done), Actions{RepairAction::keep_chunks});
  expect_epochs({1, 3, 4});
}

TEST_F(RepairTest, AMissingPackIsMadeAgainFromIdenticalChunks) {
  Store store = Store::open(path());
  ckp::Run run = store.resume_run("cnn");
  SaveOptions options;
  options.epoch = 5;
  options.step = 5;
  const SmallState again = state(1);
  const auto fifth = run.save(again.dict(), options).wait().checkpoint;  // shares epoch 1's
  const auto needed = store.open_checkpoint(fifth).manifest().references.at(0).address.pack;
  ASSERT_TRUE(needed == saved_[1].id || needed == twin_.id);
  const bool first = needed == saved_[1].id;
  std::filesystem::remove(first ? packs_[1].string() : store.open_checkpoint(twin_).name());
  const RepairReport done = repair_and_check({});
  EXPECT_EQ(actions(done), (Actions{RepairAction::mend_pack, RepairAction::forget}));
  EXPECT_TRUE(state(1).is_in(Store::open(path()).open_checkpoint(fifth)));
}

TEST_F(RepairTest, AMissingPackCostsItsCheckpointAndTheTensorsOfOthers) {
  std::filesystem::remove(packs_[2]);
  const VerifyReport found = Store::open(path()).verify();
  EXPECT_EQ(found.findings.size(), 2u);  // epoch 3 lacks chunks, epoch 2 its file
  const RepairReport done = repair_and_check({packs_[3]});
  EXPECT_EQ(actions(done), (Actions{RepairAction::salvage, RepairAction::forget}));
  expect_epochs({1, 4});
  ASSERT_EQ(salvaged().size(), 1u);
  expect_salvaged(salvaged()[0], 3, {"model/large", "model/small"});
}

TEST_F(RepairTest, TheNewestPackThatNobodyRefersToIsMissedByTheIndex) {
  std::filesystem::remove(packs_[4]);
  const VerifyReport found = Store::open(path()).verify();
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings[0].checkpoint, saved_[4].id.hex());
  EXPECT_EQ(found.findings[0].epoch, 4);
  EXPECT_NE(found.findings[0].message.find("neither pruned nor removed"), std::string::npos);
  const RepairReport done = repair_and_check({});
  EXPECT_EQ(actions(done), Actions{RepairAction::forget});
  EXPECT_FALSE(done.restores_all());
  expect_epochs({1, 2, 3});
}

TEST_F(RepairTest, APackOfZerosIsSetAside) {
  write_bytes(packs_[4], std::vector<std::byte>(std::filesystem::file_size(packs_[4])));
  EXPECT_FALSE(Store::open(path()).verify().clean());
  const RepairReport done = repair_and_check({packs_[4]});
  EXPECT_EQ(actions(done), Actions{RepairAction::set_aside});
  EXPECT_FALSE(done.restores_all());
  expect_epochs({1, 2, 3});
}

TEST_F(RepairTest, APackWhoseChunksAreAllNeededAndZeroedIsMadeAgainFromTwins) {
  write_bytes(packs_[1], std::vector<std::byte>(std::filesystem::file_size(packs_[1])));
  const RepairReport done = repair_and_check({packs_[1]});
  EXPECT_EQ(actions(done), Actions{RepairAction::set_aside});  // nobody else needs them
  expect_epochs({2, 3, 4});
}

TEST_F(RepairTest, SwappedPacksComeBackToTheirNames) {
  const auto two = read_bytes(packs_[2]), four = read_bytes(packs_[4]);
  write_bytes(packs_[2], four);
  write_bytes(packs_[4], two);
  EXPECT_FALSE(Store::open(path()).verify().clean());
  const RepairReport done = repair_and_check({packs_[2], packs_[4]});
  EXPECT_EQ(actions(done), (Actions{RepairAction::mend_pack, RepairAction::mend_pack}));
  EXPECT_TRUE(done.restores_all());
  expect_epochs({1, 2, 3, 4});
}

TEST_F(RepairTest, ACopyInAnotherRunIsSetAside) {
  const auto other =
      std::filesystem::path(Store::open(path()).open_checkpoint(twin_).name()).parent_path();
  std::filesystem::copy(packs_[2], other / packs_[2].filename());
  EXPECT_FALSE(Store::open(path()).verify().clean());
  const RepairReport done = repair_and_check({other / packs_[2].filename()});
  EXPECT_EQ(actions(done), Actions{RepairAction::set_aside});
  EXPECT_NE(done.steps.at(0).message.find("a second file of a pack"), std::string::npos);
  EXPECT_TRUE(done.restores_all());
  EXPECT_FALSE(std::filesystem::exists(other / packs_[2].filename()));
  expect_epochs({1, 2, 3, 4});
}

TEST_F(RepairTest, ManyKindsAtOnce) {
  flip_payload(packs_[1]);
  flip_manifest(packs_[3], 1);
  flip(journal(), 20);
  flip(path() / "STORE", 45);
  flip_payload(packs_[4]);
  const RepairReport done =
      repair_and_check({packs_[1], packs_[3], packs_[4], journal(), path() / "STORE"});
  EXPECT_EQ(done.steps.size(), 5u);
  expect_epochs({1, 2, 3});
  EXPECT_EQ(salvaged().size(), 1u);
}

// What verify proposes beside a repair, done after it.
TEST_F(RepairTest, AGoodCopyPutBackAfterASalvageIsListedAgain) {
  const auto good = read_bytes(packs_[4]);
  flip_payload(packs_[4]);
  EXPECT_EQ(actions(repair(path())), Actions{RepairAction::salvage});
  write_bytes(packs_[4], good);
  const RepairReport done = repair_and_check({});
  EXPECT_EQ(actions(done), Actions{RepairAction::set_aside});
  EXPECT_TRUE(done.restores_all());
  expect_epochs({1, 2, 3, 4});
}

// A trainer goes on beside a repair, shares chunks with a mended pack, and all stays sound.
TEST_F(RepairTest, BesideATrainer) {
  Store store = Store::open(path());
  ckp::Run run = store.resume_run("cnn");
  SaveOptions options;
  options.epoch = 5;
  options.step = 5;
  const auto fifth = run.save(state(5).dict(), options).wait();
  flip_manifest(fifth.path, 1);
  const RepairReport done = repair(path());
  EXPECT_EQ(actions(done), Actions{RepairAction::mend_pack});
  options.epoch = 6;
  options.step = 6;
  const auto sixth = run.save(state(5).dict(), options).wait();
  EXPECT_EQ(sixth.chunks_written, 0u);
  EXPECT_TRUE(state(5).is_in(store.open_checkpoint(sixth.checkpoint)));
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).clean());
}

TEST_F(RepairTest, APackOfANewerVersionIsLeftAloneAndStopsARepair) {
  std::filesystem::copy(std::filesystem::path(CKP_SOURCE_DIR) / "tests/golden/v1/newer-version.ckp",
                        packs_[4], std::filesystem::copy_options::overwrite_existing);
  const VerifyReport found = Store::open(path()).verify();
  EXPECT_EQ(found.newer.size(), 1u);
  EXPECT_FALSE(found.clean());
  flip_payload(packs_[2]);
  const auto before = everything();
  expect_error(ErrorCode::newer_format, "version", [&] { repair(path()); });
  EXPECT_EQ(everything(), before);
}

TEST_F(RepairTest, ALivePackWithoutAManifestIsReported) {
  {
    format::PackHeader header;
    header.uuid = saved_[4].id;
    std::vector<std::byte> bytes;
    format::PackWriter writer(
        [&](std::span<const std::byte> more) {
          bytes.insert(bytes.end(), more.begin(), more.end());
        },
        header);
    writer.finish({});
    write_bytes(packs_[4], bytes);
  }
  const VerifyReport found = Store::open(path()).verify();
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_NE(found.findings[0].message.find("no manifest"), std::string::npos);
  repair_and_check({packs_[4]});
  expect_epochs({1, 2, 3});
}

TEST_F(RepairTest, NothingOfAStoreIsNoStore) {
  expect_error(ErrorCode::not_found, "neither a store", [&] { repair(directory_ / "empty"); });
}

}  // namespace
}  // namespace ckp

// What is in the trash, or what it needs, is damaged, lost, or cannot be read.
#include <fstream>

#include "ckp/repair.h"
#include "load/open_pack.h"
#include "trash_fixture.h"

namespace ckp {
namespace {

using test::expect_error;
using test::Parts;
using test::TrashTest;

namespace stdfs = std::filesystem;

void damage(const stdfs::path& file, std::int64_t at) {
  std::fstream pack(file, std::ios::in | std::ios::out | std::ios::binary);
  pack.seekp(at);
  pack.write("damage", 6);
}

TEST_F(TrashTest, DamageIsFoundAndWhatIsDamagedDoesNotComeBack) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1}, 1);
  save_parts(run, {2}, 2);
  store.prune(keep_last(1), {}, for_hours(7));
  damage(trashed_file(), 500);
  const VerifyReport report = store.verify();
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].checkpoint, first.id.hex());
  // A chunk alone: it comes back, and every look says so, as of any live one.
  undelete(store, first.id);
  expect_error(ErrorCode::corrupt, "", [&] { Parts({1}).is_in(store.open_checkpoint(first)); });
  store.prune(keep_last(1), {}, for_hours(7));

  RepairReport repaired = repair(path(), {}, options_);
  ASSERT_EQ(repaired.steps.size(), 1u);
  EXPECT_EQ(repaired.steps[0].action, RepairAction::set_aside) << repaired.steps[0].message;
  EXPECT_TRUE(store.trash().empty());
  expect_clean(store);
}

TEST_F(TrashTest, AManifestThatCannotBeRead) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1}, 1);
  save_parts(run, {1, 2}, 2);
  store.prune(keep_last(1), {}, for_hours(7));
  const stdfs::path file = trashed_file();
  const auto pack = open_pack(*posix_file_system(), file);
  for (const auto& entry : pack.directory.manifests) {
    damage(file, static_cast<std::int64_t>(entry.offset) + 100);
  }
  const auto trash = store.trash();
  ASSERT_EQ(trash.size(), 1u);
  EXPECT_EQ(trash[0].checkpoint.id, first.id);
  EXPECT_EQ(trash[0].checkpoint.epoch, -1);
  EXPECT_EQ(trash[0].checkpoint.step, 1);
  EXPECT_EQ(store.find_in_trash(parse_address("cnn@" + first.id.hex())).id, first.id);
  expect_error(ErrorCode::corrupt, "cannot be brought back", [&] { undelete(store, first.id); });
  EXPECT_FALSE(store.verify().findings.empty());

  const RepairReport repaired = repair(path(), {}, options_);
  ASSERT_EQ(repaired.steps.size(), 1u);
  EXPECT_EQ(repaired.steps[0].action, RepairAction::keep_chunks);
  EXPECT_TRUE(store.trash().empty()) << "it can never come back";
  EXPECT_FALSE(file_of(first.id).empty()) << "the second one needs a chunk of it";
  expect_clean(store);
  store.prune(keep_last(1));
  expect_clean(store);
}

TEST_F(TrashTest, OneThatCannotBeReadDoesNotGoThere) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1}, 1);
  save_parts(run, {2}, 2);
  stdfs::resize_file(file_of(first.id), 1000);
  expect_error(ErrorCode::corrupt, "without --trash", [&] {
    store.remove_checkpoints({&first.id, 1}, for_hours(7));
  });
  store.remove_checkpoints({&first.id, 1});
  EXPECT_TRUE(file_of(first.id).empty());
}

// By other hands, or a bad disk: the store itself never lets that happen.
TEST_F(TrashTest, AChunkThatItNeedsIsLost) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1}, 1);
  const auto second = save_parts(run, {1, 2}, 2);
  save_parts(run, {3, 3}, 3);
  const std::vector<Uuid> both{first.id, second.id};
  store.remove_checkpoints({&second.id, 1}, for_hours(7));
  store.remove_checkpoints({&first.id, 1});
  stdfs::remove(file_of(first.id));
  expect_error(ErrorCode::corrupt, "cannot be brought back", [&] { undelete(store, second.id); });
  EXPECT_FALSE(store.verify().findings.empty());
  const RepairReport repaired = repair(path(), {}, options_);
  ASSERT_FALSE(repaired.steps.empty());
  EXPECT_EQ(repaired.steps[0].action, RepairAction::keep_chunks);
  EXPECT_TRUE(store.trash().empty());
  expect_clean(store);
}

TEST_F(TrashTest, ALostSTOREIsMadeAnewWithItsFeature) {
  {
    Store store = Store::create(path(), options_);
    ckp::Run run = store.create_run(run_options("cnn"));
    save_parts(run, {1}, 1);
    save_parts(run, {2}, 2);
    store.prune(keep_last(1), {}, for_hours(7));
  }
  stdfs::remove(path() / "STORE");
  repair(path(), {}, options_);
  EXPECT_TRUE(has_feature());
  Store store = Store::open(path(), options_);
  undelete(store, only_id(store));
  EXPECT_FALSE(has_feature());
  expect_clean(store);
}

}  // namespace
}  // namespace ckp

// The trash: what goes there comes back as it was, is kept as a whole, and goes in its time.
#include <algorithm>

#include "ckp/convert.h"
#include "ckp/query.h"
#include "store/registration.h"
#include "store/store_core.h"
#include "trash_fixture.h"

namespace ckp {
namespace {

using test::expect_error;
using test::Parts;
using test::TrashTest;

namespace stdfs = std::filesystem;

TEST_F(TrashTest, WhatWasPrunedComesBackAsItWas) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  for (int epoch = 1; epoch <= 3; ++epoch) save_parts(run, {1, epoch}, epoch);
  store.tag(list(store)[0], {{"gold", true}});
  const auto before = list(store);
  const std::uint64_t bytes = bytes_on_disk();

  const PrunePlan plan = store.plan_prune(keep_last(1), {}, for_hours(7));
  EXPECT_EQ(plan.bytes_freed, 0u);
  EXPECT_EQ(plan.trash_checkpoints, 2u);
  EXPECT_EQ(plan.bytes_trashed, before[0].file_size + before[1].file_size);
  EXPECT_EQ(plan.trash_bytes, plan.bytes_trashed);
  EXPECT_EQ(plan.entries[0].trash_until_ns, clock_->now + 7 * hour_ns);
  EXPECT_TRUE(store.trash().empty()) << "a plan does nothing";
  EXPECT_FALSE(has_feature());
  const PrunePlan done = store.prune(keep_last(1), {}, for_hours(7));
  EXPECT_EQ(done.trash_frees, plan.trash_frees);
  EXPECT_EQ(bytes_on_disk(), bytes);
  EXPECT_TRUE(has_feature());

  EXPECT_EQ(epochs(list(store)), std::vector<std::int64_t>{3});
  expect_error(ErrorCode::not_found, "pruned", [&] { store.open_checkpoint(before[0]); });
  const auto trash = store.trash();
  ASSERT_EQ(trash.size(), 2u);
  EXPECT_EQ(trash[0].checkpoint, before[0]) << "tags that came later, too";
  EXPECT_EQ(trash[0].run, "cnn");
  EXPECT_EQ(trash[0].until_ns, clock_->now + 7 * hour_ns);
  EXPECT_EQ(trash[0].bytes, before[0].file_size);
  expect_clean(store);
  store.rebuild_index();
  EXPECT_EQ(list(store).size(), 1u);

  EXPECT_EQ(undelete(store, before[1].id), std::vector{before[1]});
  EXPECT_TRUE(has_feature());
  undelete(store, before[0].id);
  EXPECT_FALSE(has_feature());
  EXPECT_EQ(list(store), before);
  for (int epoch = 1; epoch <= 3; ++epoch) {
    EXPECT_TRUE(Parts({1, epoch}).is_in(store.open_checkpoint(before[std::size_t(epoch) - 1])));
  }
  expect_clean(store);
  store.rebuild_index();
  EXPECT_EQ(list(store), before);
}

TEST_F(TrashTest, ItGoesInItsTimeWithWhateverIsDeletedNext) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  std::vector<CheckpointRecord> saved;
  for (int epoch = 1; epoch <= 4; ++epoch) saved.push_back(save_parts(run, {epoch}, epoch));
  store.remove_checkpoints({&saved[0].id, 1}, for_hours(7));
  clock_->now += 7 * hour_ns - 1;
  store.remove_checkpoints({&saved[1].id, 1});
  EXPECT_EQ(only_id(store), saved[0].id) << "a nanosecond is left";
  clock_->now += 1;
  EXPECT_EQ(only_id(store), saved[0].id) << "nothing has been deleted since";
  const PrunePlan plan = store.plan_prune(keep_last(2));
  EXPECT_EQ(plan.expired, 1u);
  EXPECT_EQ(plan.bytes_freed, saved[0].file_size);
  EXPECT_EQ(plan.garbage_files, 0u);
  const std::uint64_t before = bytes_on_disk();
  EXPECT_EQ(store.remove_checkpoints({&saved[2].id, 1}), saved[0].file_size + saved[2].file_size);
  EXPECT_EQ(before - bytes_on_disk(), saved[0].file_size + saved[2].file_size);
  EXPECT_TRUE(store.trash().empty());
  EXPECT_FALSE(has_feature());
  expect_error(ErrorCode::not_found, "not in the trash (any more)",
               [&] { undelete(store, saved[0].id); });
  expect_clean(store);
}

// A clock that went back does not shorten the time, and one that was wrong at the save neither.
TEST_F(TrashTest, AClockThatWasSetBack) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  const std::int64_t saved_ns = clock_->now;
  const auto first = save_parts(run, {1}, 1);
  save_parts(run, {2}, 2);
  clock_->now -= 1000 * hour_ns;
  store.prune(keep_last(1), {}, for_hours(7));
  EXPECT_EQ(store.trash()[0].until_ns, saved_ns + 7 * hour_ns);
  clock_->now = -5 * hour_ns;
  store.prune(keep_last(1));
  EXPECT_EQ(only_id(store), first.id);
}

TEST_F(TrashTest, ATimeBeyondAllTimes) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  save_parts(run, {1}, 1);
  save_parts(run, {2}, 2);
  expect_error(ErrorCode::invalid_argument, "negative",
               [&] { store.prune(keep_last(1), {}, {.trash_ns = -1}); });
  store.prune(keep_last(1), {}, {.trash_ns = INT64_MAX});
  EXPECT_EQ(store.trash()[0].until_ns, max_trash_until * second_ns);
  undelete(store, only_id(store));
  EXPECT_EQ(list(store).size(), 2u);
}

TEST_F(TrashTest, EmptyingIt) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  for (int epoch = 1; epoch <= 3; ++epoch) save_parts(run, {epoch}, epoch);
  store.prune(keep_last(1), {}, for_hours(7));
  expect_error(ErrorCode::invalid_argument, "", [&] { store.prune({}); });
  const PruneOptions empty{.empty_trash = true};
  const PrunePlan plan = store.plan_prune({}, {}, empty);
  EXPECT_EQ(plan.expired, 2u);
  EXPECT_EQ(store.trash().size(), 2u);
  EXPECT_EQ(store.prune({}, {}, empty).bytes_freed, plan.bytes_freed);
  EXPECT_TRUE(store.trash().empty());
  EXPECT_EQ(list(store).size(), 1u);
  EXPECT_EQ(store.plan_prune({}, {}, empty).expired, 0u);
  // With rules it is done besides; what goes by these rules now is not in the trash yet.
  save_parts(run, {4}, 4);
  store.prune(keep_last(1), {}, for_hours(7));
  save_parts(run, {5}, 5);
  PruneOptions both = for_hours(7);
  both.empty_trash = true;
  EXPECT_EQ(store.prune(keep_last(1), {}, both).expired, 1u);
  EXPECT_EQ(store.trash()[0].checkpoint.epoch, 4);
}

// All that it needs stays: packs of others that are gone, and each of their chunks.
TEST_F(TrashTest, WhatItNeedsIsNeitherCollectedNorRewritten) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1, 1, 1}, 1);
  const auto second = save_parts(run, {1, 1, 2, 2}, 2);
  save_parts(run, {1, 3, 3, 3}, 3);
  store.remove_checkpoints({&second.id, 1}, for_hours(7));
  const PruneOptions eager{.waste_threshold = 0.01};
  const PrunePlan plan = store.prune(keep_last(1), {}, eager);
  ASSERT_EQ(plan.rewrites.size(), 1u) << "to what the trash and the last one need";
  EXPECT_GT(plan.trash_frees, second.file_size) << "and the first's second part";
  EXPECT_EQ(store.prune(keep_last(1), {}, eager).bytes_freed, 0u);
  expect_clean(store);
  undelete(store, second.id);
  EXPECT_TRUE(Parts({1, 1, 2, 2}).is_in(store.open_checkpoint(second)));
  store.remove_checkpoints({&second.id, 1}, for_hours(7));
  const std::uint64_t before = bytes_on_disk();
  const PruneOptions emptying{.waste_threshold = 0.01, .empty_trash = true};
  EXPECT_EQ(store.prune({}, {}, emptying).bytes_freed, plan.trash_frees);
  EXPECT_EQ(before - bytes_on_disk(), plan.trash_frees);
  EXPECT_FALSE(file_of(first.id).empty()) << "the last one needs its first part";
  expect_clean(store);
}

// What others need of it is no reason to keep it in the trash, and stays when it has left.
TEST_F(TrashTest, OthersNeedSomeOfIt) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1}, 1);
  const auto second = save_parts(run, {1, 2}, 2);
  const PrunePlan plan = store.prune(keep_last(1), {}, for_hours(7));
  EXPECT_GT(plan.trash_bytes, plan.trash_frees);
  clock_->now += 8 * hour_ns;
  store.prune(keep_last(1));
  EXPECT_TRUE(store.trash().empty());
  EXPECT_NE(file_of(first.id).string().find(".retired-"), std::string::npos);
  EXPECT_TRUE(Parts({1, 2}).is_in(store.open_checkpoint(second)));
  expect_clean(store);
}

TEST_F(TrashTest, NobodyResumesOneOrSharesItsChunks) {
  Store store = Store::create(path(), options_);
  CheckpointRecord newest;
  {
    ckp::Run run = store.create_run(run_options("cnn"));
    save_parts(run, {1}, 1);
    newest = save_parts(run, {2}, 2);
    store.remove_checkpoints({&newest.id, 1}, for_hours(7));
    EXPECT_GT(run.save(Parts({2}).dict(), {.epoch = 3, .step = 3}).wait().bytes_written, 20'000u);
    const auto again = store.find(parse_address("cnn@3"));
    store.remove_checkpoints({&again.id, 1});
  }
  {
    ckp::Run run = store.resume_run("cnn");
    EXPECT_EQ(run.continued_from()->record().epoch, 1);
    save_parts(run, {4}, 4);
  }
  undelete(store, newest.id);
  EXPECT_EQ(store.find(parse_address("cnn")).epoch, 4);
  // The run has gone on from an earlier one: what is back is superseded, and there by its id.
  const RunRecord run = store.run("cnn");
  EXPECT_EQ(epochs(current_line(run, list(store))), (std::vector<std::int64_t>{1, 4}));
  EXPECT_TRUE(
      Parts({2}).is_in(store.open_checkpoint(store.find(parse_address("@" + newest.id.hex())))));
  expect_clean(store);
}

TEST_F(TrashTest, MessagesSayWhereItIs) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1}, 1);
  save_parts(run, {2}, 2);
  store.promote(first, "production");
  expect_error(ErrorCode::invalid_argument, "alias", [&] {
    store.remove_checkpoints({&first.id, 1}, for_hours(7));
  });
  store.remove_alias("production");
  store.remove_checkpoints({&first.id, 1}, for_hours(7));
  const std::string id = "cnn@" + first.id.hex();
  expect_error(ErrorCode::not_found, "it is in the trash: ckptool undelete",
               [&] { store.find(parse_address(id)); });
  expect_error(ErrorCode::not_found, "the run has some in the trash",
               [&] { store.find(parse_address("cnn@1")); });
  expect_error(ErrorCode::not_found, "", [&] { store.promote(first, "production"); });
  EXPECT_EQ(store.find_in_trash(parse_address("cnn@1")), first);
  EXPECT_EQ(store.find_in_trash(parse_address("@" + first.id.hex())), first);
  EXPECT_EQ(store.find_in_trash(parse_address(id)), first);
  expect_error(ErrorCode::not_found, "no such checkpoint in the trash",
               [&] { store.find_in_trash(parse_address("@0123456789abcdef")); });
  undelete(store, first.id);
  expect_error(ErrorCode::not_found, "it is in the store", [&] { undelete(store, first.id); });
  expect_error(ErrorCode::not_found, "no such checkpoint in the trash",
               [&] { store.find_in_trash(parse_address("cnn@1")); });
}

TEST_F(TrashTest, AllComeBackOrNone) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  for (int epoch = 1; epoch <= 3; ++epoch) save_parts(run, {epoch}, epoch);
  const auto before = list(store);
  store.prune(keep_last(1), {}, for_hours(7));
  const std::vector<Uuid> two{before[0].id, before[2].id};
  expect_error(ErrorCode::not_found, "nothing was changed", [&] { store.undelete(two); });
  EXPECT_EQ(store.trash().size(), 2u);
  const std::vector<Uuid> twice{before[0].id, before[0].id, before[1].id};
  EXPECT_EQ(store.undelete(twice).size(), 2u);
  EXPECT_TRUE(store.undelete({}).empty());
  EXPECT_EQ(list(store), before);
}

TEST_F(TrashTest, ABackupInProgressMissesNothing) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  save_parts(run, {1}, 1);
  save_parts(run, {2}, 2);
  store.prune(keep_last(1), {}, for_hours(7));
  const Uuid id = only_id(store);
  {
    const StoreHold hold = store.hold();
    expect_error(ErrorCode::locked, "nothing was brought back", [&] { undelete(store, id); });
  }
  undelete(store, id);
}

// A save that began before it all may refer to what is emptied from the trash; one that began
// since it went there may not.
TEST_F(TrashTest, EmptiedInTheMiddleOfASave) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1}, 1);
  const auto second = save_parts(run, {2}, 2);
  save_parts(run, {3}, 3);
  format::StoreIdentity identity;
  identity.uuid = store.uuid();
  StoreCore core(path(), options_, identity);
  store.remove_checkpoints({&first.id, 1}, for_hours(7));
  {
    const Registration in_progress(core, run.record().directory);
    store.remove_checkpoints({&second.id, 1}, for_hours(7));
    EXPECT_EQ(store.prune({}, {}, {.empty_trash = true}).bytes_freed, first.file_size);
    EXPECT_TRUE(store.trash().empty());
    EXPECT_TRUE(file_of(first.id).empty());
    EXPECT_NE(file_of(second.id).string().find(".retired-"), std::string::npos);
    EXPECT_EQ(store.prune(keep_last(1)).bytes_freed, 0u);
    expect_error(ErrorCode::not_found, "not in the trash", [&] { undelete(store, second.id); });
  }
  EXPECT_EQ(store.prune(keep_last(1)).bytes_freed, second.file_size);
  expect_clean(store);
}

TEST_F(TrashTest, ARunGoesAsAWhole) {
  Store store = Store::create(path(), options_);
  for (const std::string name : {"cnn", "mlp"}) {
    ckp::Run run = store.create_run(run_options(name));
    save_parts(run, {1}, 1);
    save_parts(run, {2}, 2);
  }
  store.prune(keep_last(1), {}, for_hours(7));
  expect_error(ErrorCode::invalid_argument, "nothing was deleted",
               [&] { store.remove_run("cnn", for_hours(7)); });
  store.remove_run("cnn");
  ASSERT_EQ(store.trash().size(), 1u);
  EXPECT_EQ(store.trash()[0].run, "mlp");
  EXPECT_TRUE(has_feature());
  undelete(store, only_id(store));
  EXPECT_TRUE(Parts({1}).is_in(store.open_checkpoint(store.find(parse_address("mlp@1")))));
  expect_clean(store);
  store.prune(keep_last(1), {}, for_hours(7));
  store.remove_run("mlp");
  EXPECT_FALSE(has_feature());
  EXPECT_EQ(bytes_on_disk(), 0u);
}

// An import makes room for itself where one was interrupted; not where its checkpoint is in the
// trash.
TEST_F(TrashTest, AnImportTakesNoNameOfARunWithATrash) {
  Store store = Store::create(path(), options_);
  {
    ckp::Run run = store.create_run(run_options("cnn"));
    write_standalone(store.open_checkpoint(save_parts(run, {1}, 1)), directory_ / "one.ckp");
  }
  const auto imported = store.import_file(directory_ / "one.ckp", {.run = "in"});
  store.remove_checkpoints({&imported.id, 1}, for_hours(7));
  expect_error(ErrorCode::already_exists, "--run NAME",
               [&] { store.import_file(directory_ / "one.ckp", {.run = "in"}); });
  EXPECT_EQ(only_id(store), imported.id);
  store.import_file(directory_ / "one.ckp", {.run = "other"});
  undelete(store, imported.id);
  expect_clean(store);
}

TEST_F(TrashTest, StatsNameItsBytes) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1}, 1);
  save_parts(run, {1, 2}, 2);
  const auto third = save_parts(run, {3, 3}, 3);
  store.prune(keep_last(1), {}, for_hours(7));
  StoreStats stats = store.stats();
  EXPECT_EQ(stats.disk.trash, store.trash()[0].bytes + store.trash()[1].bytes);
  EXPECT_EQ(stats.disk.dead + stats.disk.garbage, 0u);
  EXPECT_EQ(stats.needed.checkpoints, 1u);
  save_parts(run, {3, 4}, 4);
  store.remove_checkpoints({&third.id, 1}, for_hours(7));
  stats = store.stats();
  EXPECT_GT(stats.disk.trash, store.trash()[0].bytes + store.trash()[1].bytes);
  EXPECT_LT(stats.disk.trash,
            store.trash()[0].bytes + store.trash()[1].bytes + store.trash()[2].bytes);
  EXPECT_EQ(stats.disk.payload, stats.needed.stored);
  EXPECT_EQ(first.id, store.trash()[0].checkpoint.id);
}

// As a process was killed, or met another's: the index is behind, or gone, or of another boot.
TEST_F(TrashTest, WithoutAnIndexThatCanBeTrusted) {
  Store store = Store::create(path(), options_);
  ckp::Run run = store.create_run(run_options("cnn"));
  save_parts(run, {1}, 1);
  save_parts(run, {2}, 2);
  const auto before = list(store);
  for (const bool index_goes_first : {true, false}) {
    if (index_goes_first) stdfs::remove_all(path() / "index");
    store.prune(keep_last(1), {}, for_hours(7));
    EXPECT_EQ(list(store).size(), 1u);
    if (!index_goes_first) stdfs::remove_all(path() / "index");
    undelete(store, before[0].id);
    EXPECT_EQ(list(store), before);
  }
  expect_clean(store);
}

}  // namespace
}  // namespace ckp

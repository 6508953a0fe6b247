#include "ckp/store.h"

#include <fstream>

#include "ckp/query.h"
#include "ckp/save.h"
#include "store/layout.h"
#include "store_fixture.h"
#include "support/hooked_file_system.h"

namespace ckp {
namespace {

using test::expect_error;
using test::SmallState;
using test::StoreTest;

TEST_F(StoreTest, OpenWhereNoStoreIsSaysHowToMakeOne) {
  expect_error(ErrorCode::not_found, "ckptool init", [&] { Store::open(path()); });
}

TEST_F(StoreTest, CreateRefusesAStoreAndAForeignDirectory) {
  Store::create(path());
  expect_error(ErrorCode::already_exists, "already", [&] { Store::create(path()); });
  std::filesystem::create_directory(directory_ / "photos");
  std::ofstream(directory_ / "photos" / "cat.jpg") << "meow";
  expect_error(ErrorCode::invalid_argument, "cat.jpg",
               [&] { Store::create(directory_ / "photos"); });
}

TEST_F(StoreTest, NewerStoreIsRefusedWithTheVersionItNeeds) {
  Store::create(path());
  std::fstream file(path() / "STORE", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(10);
  file.put('\x7f');
  file.close();
  // The checksum no longer fits; a damaged STORE is never taken for a newer one.
  expect_error(ErrorCode::corrupt, "STORE", [&] { Store::open(path()); });
}

TEST_F(StoreTest, SavedStateLoadsBackBitForBit) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const CheckpointRecord saved = save(run, 1);
  const Checkpoint checkpoint = store.open_checkpoint(store.find(parse_address("cnn@1")));
  EXPECT_EQ(checkpoint.record(), saved);
  EXPECT_TRUE(SmallState(1).is_in(checkpoint));
  EXPECT_FALSE(SmallState(2).is_in(checkpoint));
  EXPECT_EQ(find_value(checkpoint.values(), "progress/note")->as_string(), "plain value");
}

TEST_F(StoreTest, ANameInUseNamesThreeWaysOnAndWritesNothing) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  for (const char* way : {"--resume", "another name", "--run auto"}) {
    expect_error(ErrorCode::already_exists, way, [&] { store.create_run(run_options("cnn")); });
  }
  EXPECT_EQ(store.runs().size(), 1u);
  EXPECT_EQ(store.free_run_name("cnn"), "cnn-2");
}

TEST_F(StoreTest, NamesAreDataNotPaths) {
  Store store = Store::create(path());
  const std::string name = "../../etc/ünïcode run: <script>";
  {
    ckp::Run run = store.create_run(run_options(name));
    save(run, 1);
  }
  EXPECT_EQ(store.run(name).name, name);
  for (const auto& entry : std::filesystem::directory_iterator(path() / "runs")) {
    EXPECT_EQ(entry.path().filename().string().find_first_of("/<> :ü"), std::string::npos);
  }
}

TEST_F(StoreTest, UnknownRunNamesThoseThatExist) {
  Store store = Store::create(path());
  expect_error(ErrorCode::not_found, "no runs yet", [&] { store.run("cnn"); });
  { ckp::Run run = store.create_run(run_options("cnn-lr3")); }
  expect_error(ErrorCode::not_found, "cnn-lr3", [&] { store.run("cnn"); });
  expect_error(ErrorCode::not_found, "cnn-lr3", [&] { store.resume_run("cnn"); });
}

TEST_F(StoreTest, RunIsFoundByIdPrefix) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  EXPECT_EQ(store.run(run.record().id.hex().substr(0, 8)).name, "cnn");
}

TEST_F(StoreTest, StatusFollowsTheProcessThatHoldsTheRun) {
  Store store = Store::create(path());
  {
    ckp::Run run = store.create_run(run_options("cnn"));
    EXPECT_EQ(store.run("cnn").status, RunStatus::in_progress);
    expect_error(ErrorCode::locked, "is training it", [&] { store.resume_run("cnn"); });
  }
  EXPECT_EQ(store.run("cnn").status, RunStatus::interrupted);
  ckp::Run again = store.resume_run("cnn");
  again.finish(RunStatus::completed);
  EXPECT_EQ(store.run("cnn").status, RunStatus::completed);
}

TEST_F(StoreTest, ResumeContinuesFromTheNewestFiniteCheckpoint) {
  Store store = Store::create(path());
  {
    ckp::Run run = store.create_run(run_options("cnn"));
    save(run, 1);
    save(run, 2);
    SmallState poisoned(3);
    poisoned.poison();
    const auto report = run.save(poisoned.dict(), {.epoch = 3, .step = 300}).wait();
    EXPECT_TRUE(report.checkpoint.nonfinite);
  }
  ckp::Run run = store.resume_run("cnn");
  EXPECT_EQ(run.attempt(), 2u);
  ASSERT_TRUE(run.continued_from().has_value());
  EXPECT_EQ(run.continued_from()->record().epoch, 2);
  EXPECT_TRUE(SmallState(2).is_in(*run.continued_from()));
}

TEST_F(StoreTest, ResumeSkipsADamagedCheckpointAndSaysSo) {
  Store store = Store::create(path());
  std::filesystem::path newest;
  {
    ckp::Run run = store.create_run(run_options("cnn"));
    save(run, 1);
    newest = run.save(SmallState(2).dict(), {.epoch = 2, .step = 200}).wait().path;
  }
  std::fstream file(newest, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(5000);
  file.write("damage", 6);
  file.close();
  ckp::Run run = store.resume_run("cnn");
  EXPECT_EQ(run.continued_from()->record().epoch, 1);
  ASSERT_EQ(run.skipped().size(), 1u);
  EXPECT_NE(run.skipped().front().find(newest.filename().string()), std::string::npos);
}

TEST_F(StoreTest, ResumeOfARunWithoutCheckpointsStartsFresh) {
  Store store = Store::create(path());
  { ckp::Run run = store.create_run(run_options("cnn")); }
  ckp::Run run = store.resume_run("cnn");
  EXPECT_FALSE(run.continued_from().has_value());
  save(run, 1);
  EXPECT_EQ(store.checkpoints(run.record().id).size(), 1u);
}

TEST_F(StoreTest, WhatARewoundResumeLeftBehindIsSuperseded) {
  Store store = Store::create(path());
  {
    ckp::Run run = store.create_run(run_options("cnn"));
    for (int epoch = 1; epoch <= 3; ++epoch) save(run, epoch);
  }
  {
    ckp::Run run = store.resume_run("cnn", parse_address("cnn@1"));
    save(run, 2, 0.1);
  }
  const RunRecord record = store.run("cnn");
  const auto all = store.checkpoints(record.id);
  EXPECT_EQ(epochs(all), (std::vector<std::int64_t>{1, 2, 3, 2}));
  EXPECT_EQ(epochs(current_line(record, all)), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(store.find(parse_address("cnn@latest")).attempt, 2u);
  ckp::Run run = store.resume_run("cnn");
  EXPECT_EQ(run.continued_from()->record().metrics.at("val/loss"), 0.1);
}

TEST_F(StoreTest, BestFollowsTheDeclaredDirectionAndNeverTakesNan) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1, 0.7);
  save(run, 2, std::nan(""));
  save(run, 3, 0.5);
  save(run, 4, 0.5);
  EXPECT_EQ(store.find(parse_address("cnn@best")).epoch, 3);
  EXPECT_EQ(store.find(parse_address("cnn@best:val/loss:max")).epoch, 1);
  EXPECT_TRUE(std::isnan(store.find(parse_address("cnn@2")).metrics.at("val/loss")));
}

TEST_F(StoreTest, AnEqualStateIsSharedAndCostsLittle) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const SmallState state(1);
  const auto first = run.save(state.dict(), {.epoch = 1, .step = 1}).wait();
  const auto again = run.save(state.dict(), {.epoch = 1, .step = 2}).wait();
  EXPECT_EQ(again.chunks_written, 0u);
  EXPECT_GT(again.chunks_shared, 0u);
  EXPECT_LT(again.bytes_written, first.bytes_written / 10);
  EXPECT_TRUE(state.is_in(store.open_checkpoint(again.checkpoint)));

  // Another run finds the chunks through the index.
  ckp::Run other = store.create_run(run_options("fork"));
  EXPECT_EQ(other.save(state.dict(), {.epoch = 1, .step = 1}).wait().chunks_written, 0u);
}

TEST_F(StoreTest, SharedChunksOutliveTheCheckpointThatBroughtThem) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const SmallState state(1);
  const auto first = run.save(state.dict(), {.epoch = 1, .step = 1}).wait().checkpoint;
  const auto second = run.save(state.dict(), {.epoch = 2, .step = 2}).wait().checkpoint;
  store.remove_checkpoints(std::span(&first.id, 1));
  EXPECT_EQ(store.checkpoints(run.record().id).size(), 1u);
  EXPECT_TRUE(state.is_in(store.open_checkpoint(second)));
  expect_error(ErrorCode::not_found, "pruned", [&] { store.open_checkpoint(first); });

  // The next save must not count on a checkpoint that is gone, and a resume still has its chunks.
  const auto third = run.save(state.dict(), {.epoch = 3, .step = 3}).wait().checkpoint;
  store.remove_checkpoints(std::span(&second.id, 1));
  EXPECT_TRUE(state.is_in(store.open_checkpoint(third)));
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).clean());
}

TEST_F(StoreTest, RemoveRunTakesEverythingButNotWhatOthersNeed) {
  Store store = Store::create(path());
  const SmallState state(1);
  {
    ckp::Run run = store.create_run(run_options("base"));
    run.save(state.dict(), {.epoch = 1, .step = 1}).wait();
    expect_error(ErrorCode::locked, "base", [&] { store.remove_run("base"); });
  }
  ckp::Run fork = store.create_run(run_options("fork"));
  const auto shared = fork.save(state.dict(), {.epoch = 1, .step = 1}).wait().checkpoint;
  store.remove_run("base");
  EXPECT_EQ(store.runs().size(), 1u);
  EXPECT_TRUE(state.is_in(store.open_checkpoint(shared)));
  EXPECT_TRUE(store.verify().clean());

  { const ckp::Run done = std::move(fork); }
  EXPECT_GT(store.remove_run("fork"), 0u);
  EXPECT_TRUE(store.runs().empty());
  EXPECT_TRUE(store.verify().clean());
  // The name is free again.
  store.create_run(run_options("base"));
}

TEST_F(StoreTest, ImportTakesAStandaloneFile) {
  const SmallState state(5);
  SaveOptions options;
  options.epoch = 5;
  options.step = 50;
  options.metrics = {{"val/loss", 0.25}};
  save_file(directory_ / "mailed.ckp", state.dict(), options);
  Store store = Store::create(path());
  const auto imported = store.import_file(directory_ / "mailed.ckp", {});
  EXPECT_EQ(imported.run_name, "mailed");
  const auto found = store.find(parse_address("mailed@5"));
  EXPECT_EQ(found.metrics.at("val/loss"), 0.25);
  EXPECT_TRUE(state.is_in(store.open_checkpoint(found)));
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).clean());
}

// As one leaves it that was interrupted before its commit.
TEST_F(StoreTest, AnImportThatWasInterruptedCanBeRepeated) {
  save_file(directory_ / "mailed.ckp", SmallState(5).dict(), {.epoch = 5});
  Store store = Store::create(path());
  RunOptions options = run_options("mailed");
  options.tags["imported"] = "mailed.ckp";
  {
    const ckp::Run held = store.create_run(options);
    expect_error(ErrorCode::already_exists, "mailed",
                 [&] { store.import_file(directory_ / "mailed.ckp", {}); });
  }
  store.import_file(directory_ / "mailed.ckp", {});
  ASSERT_EQ(store.runs().size(), 1u);
  EXPECT_EQ(epochs(store.checkpoints(store.run("mailed").id)), (std::vector<std::int64_t>{5}));
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).clean());
}

TEST_F(StoreTest, AnImportTakesNoOtherRunOver) {
  save_file(directory_ / "mailed.ckp", SmallState(5).dict(), {.epoch = 5});
  Store store = Store::create(path());
  const auto refused = [&](const std::string& name) {
    const auto before = store.run(name);
    expect_error(ErrorCode::already_exists, name,
                 [&] { store.import_file(directory_ / "mailed.ckp", {.run = name}); });
    EXPECT_EQ(store.run(name).id, before.id);
  };
  { const ckp::Run empty = store.create_run(run_options("empty")); }
  refused("empty");
  const auto imported = store.import_file(directory_ / "mailed.ckp", {.run = "done"});
  refused("done");
  // Its file may come back.
  std::filesystem::remove(path() / "runs" / store.run("done").directory / live_name(imported));
  refused("done");
}

// Its way out is an import's, not a training's.
TEST_F(StoreTest, OfTwoImportsAtOnceOneIsToldToChooseAnotherName) {
  save_file(directory_ / "mailed.ckp", SmallState(5).dict(), {.epoch = 5});
  Store::create(path());
  const auto hooks = std::make_shared<test::HookedFileSystem>();
  StoreOptions hooked;
  hooked.file_system = hooks;
  Store slower = Store::open(path(), hooked);
  hooks->before = [&](const std::string& operation) {
    if (operation != "open " + (path() / "lock").string()) return;
    hooks->before = nullptr;  // it has looked, and takes the lock now
    Store::open(path()).import_file(directory_ / "mailed.ckp", {});
  };
  try {
    slower.import_file(directory_ / "mailed.ckp", {});
    ADD_FAILURE() << "two runs of one name";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.code(), ErrorCode::already_exists);
    EXPECT_NE(message.find("choose another name (--run NAME)"), std::string::npos) << message;
    for (const char* const word : {"--resume", "--run auto"}) {
      EXPECT_EQ(message.find(word), std::string::npos) << message;
    }
  }
  EXPECT_EQ(slower.runs().size(), 1u);
}

TEST_F(StoreTest, OrderIsTheCommitNumber) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  run.save(SmallState(9).dict(), {.epoch = 9, .step = 900}).wait();
  run.save(SmallState(1).dict(), {.epoch = 1, .step = 100}).wait();
  EXPECT_EQ(store.find(parse_address("cnn")).epoch, 1);
}

TEST_F(StoreTest, ACheckpointPrunedWhileItIsOpenedIsNotFoundAndNotDamaged) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  // The second one's chunks lie in the first one's pack.
  const SmallState state(1);
  run.save(state.dict(), {.epoch = 1, .step = 1}).wait();
  const auto opened = run.save(state.dict(), {.epoch = 2, .step = 2}).wait().checkpoint;
  save(run, 3);
  const auto fs = std::make_shared<test::HookedFileSystem>();
  StoreOptions options;
  options.file_system = fs;
  const Store reader = Store::open(path(), options);
  bool pruned = false;
  fs->after = [&](const std::string& operation) {
    if (pruned || !operation.starts_with("open ")) return;
    if (!operation.ends_with(opened.id.hex() + ".ckp")) return;
    pruned = true;
    KeepPolicy policy;
    policy.last = 1;
    store.prune(policy);
  };
  expect_error(ErrorCode::not_found, "pruned", [&] { reader.open_checkpoint(opened); });
  EXPECT_TRUE(pruned);
}

}  // namespace
}  // namespace ckp

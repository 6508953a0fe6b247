// Tags, metrics and notes that come after the save.
#include <cmath>
#include <thread>

#include "ckp/repair.h"
#include "index/index.h"
#include "repair_fixture.h"
#include "support/hooked_file_system.h"
#include "support/set_clock.h"

namespace ckp {
namespace {

using test::expect_error;
using test::HookedFileSystem;
using test::SetClock;
using test::StoreTest;

class LaterFactTest : public StoreTest {
 protected:
  // A run "cnn" with these epochs.
  std::vector<CheckpointRecord> make_store(int epochs) {
    Store store = Store::create(path());
    ckp::Run run = store.create_run(run_options("cnn"));
    std::vector<CheckpointRecord> saved;
    for (int epoch = 1; epoch <= epochs; ++epoch) saved.push_back(save(run, epoch));
    return saved;
  }
  Store open() const { return Store::open(path(), {.clock = clock_}); }
  // A rebuilt index must equal the one that grew, row by row.
  void expect_index_as_rebuilt() {
    const auto grown = dump();
    Store::open(path()).rebuild_index();
    EXPECT_EQ(grown, dump());
  }
  std::vector<std::string> dump() const {
    Store store = Store::open(path());
    store.runs();  // brings it up to date
    return Index::open(*posix_file_system(), path() / "index", path() / "lock", store.uuid())
        ->dump();
  }
  static KeepPolicy keep_best(const std::string& metric) {
    return {.best = {{1, metric, Better::higher}}};
  }
  std::shared_ptr<SetClock> clock_ = std::make_shared<SetClock>();
};

std::vector<std::string> kinds(const std::vector<LaterFact>& facts) {
  std::vector<std::string> result;
  for (const LaterFact& fact : facts) {
    result.push_back(std::string(to_string(fact.kind)) + " " + fact.name);
  }
  return result;
}

TEST_F(LaterFactTest, ATagAMetricAndANoteAreInTheRecordFromThenOn) {
  const auto saved = make_store(3);
  Store store = open();
  clock_->now = 1000;
  EXPECT_EQ(store.tag(saved[1], {{"reviewed", true}, {"by", "ada"}}).tags.at("by"), Value("ada"));
  clock_->now = 2000;
  store.add_metrics(saved[1], {{"test/auc", 0.75}, {"nan", std::nan("7")}});
  store.note(saved[1], "august data");
  const auto found = Store::open(path()).find(parse_address("cnn@2"));
  EXPECT_EQ(found.tags.at("reviewed"), Value(true));
  EXPECT_EQ(found.metrics.at("test/auc"), 0.75);
  EXPECT_TRUE(std::isnan(found.metrics.at("nan")));
  ASSERT_EQ(kinds(found.later), (std::vector<std::string>{"tag by", "tag reviewed", "metric nan",
                                                          "metric test/auc", "note "}));
  EXPECT_EQ(found.later[0].time_ns, 1000);
  EXPECT_EQ(found.later[4].time_ns, 2000);
  EXPECT_EQ(found.later[4].value, Value("august data"));
  EXPECT_NE(found.later[0].who.find('@'), std::string::npos);
  EXPECT_EQ(store.find(parse_address("cnn@best:test/auc:max")).id, saved[1].id);
  EXPECT_EQ(store.open_checkpoint(found).record(), found);
  EXPECT_TRUE(store.find(parse_address("cnn@1")).later.empty());
  EXPECT_TRUE(store.verify().clean());
  expect_index_as_rebuilt();
}

TEST_F(LaterFactTest, TheLaterOneCounts) {
  const auto saved = make_store(2);
  Store store = open();
  store.tag(saved[0], {{"stage", "a"}});
  store.tag(saved[0], {{"stage", "b"}, {"gone", 1}});
  const std::vector<std::string> gone{"gone"};
  store.remove_tags(saved[0], gone);
  expect_error(ErrorCode::not_found, "its tags: stage", [&] { store.remove_tags(saved[0], gone); });
  store.add_metrics(saved[0], {{"loss", 7.0}});
  const auto found = store.find(parse_address("cnn@1"));
  EXPECT_EQ(found.tags, (Value::Map{{"stage", "b"}}));
  EXPECT_EQ(found.metrics.at("loss"), 7.0);
  EXPECT_EQ(found.later.size(), 5u);
  expect_index_as_rebuilt();
}

TEST_F(LaterFactTest, NotesOnARunSurviveItsResumesAndItsEnd) {
  make_store(1);
  Store store = open();
  const RunRecord noted = store.note(store.run("cnn"), "the learning rate was a typo");
  EXPECT_EQ(noted.later.size(), 1u);
  EXPECT_EQ(store.run("cnn").later, noted.later);
  expect_index_as_rebuilt();
  {
    ckp::Run run = store.resume_run("cnn");
    EXPECT_EQ(store.run("cnn").later, noted.later);
    Store::open(path()).note(noted, "while it trains");
    save(run, 2);
    run.finish(RunStatus::completed);
  }
  const RunRecord run = Store::open(path()).run("cnn");
  ASSERT_EQ(run.later.size(), 2u);
  EXPECT_EQ(run.later[1].value, Value("while it trains"));
  EXPECT_EQ(run.status, RunStatus::completed);
  EXPECT_TRUE(store.verify().clean());
  expect_index_as_rebuilt();
}

TEST_F(LaterFactTest, RefusesWhatCannotBeMeant) {
  const auto saved = make_store(1);
  Store store = open();
  for (const std::string& name :
       {std::string(), std::string("a\nb"), std::string("\xff"), std::string(201, 'x')}) {
    expect_error(ErrorCode::invalid_argument, "expected a name", [&] {
      store.tag(saved[0], {{name, true}});
    });
    expect_error(ErrorCode::invalid_argument, "expected a name", [&] {
      store.add_metrics(saved[0], {{name, 1.0}});
    });
  }
  expect_error(ErrorCode::invalid_argument, "only a save gives it", [&] {
    store.tag(saved[0], {{"mid_step", true}});
  });
  expect_error(ErrorCode::invalid_argument, "without a text", [&] { store.note(saved[0], ""); });
  expect_error(ErrorCode::invalid_argument, "longer than",
               [&] { store.note(saved[0], std::string(70'000, 'x')); });
  CheckpointRecord gone = saved[0];
  gone.id.bytes[3] ^= std::byte{1};
  expect_error(ErrorCode::not_found, "is gone", [&] { store.note(gone, "x"); });
  RunRecord away = store.run("cnn");
  away.id.bytes[3] ^= std::byte{1};
  expect_error(ErrorCode::not_found, "is gone", [&] { store.note(away, "x"); });
  EXPECT_FALSE(std::filesystem::exists(path() / "marks"));
}

TEST_F(LaterFactTest, MoreThanTheMarksCanTakeChangesNothing) {
  const auto saved = make_store(1);
  Store store = open();
  Value::Map tags;
  for (int i = 0; i < 300; ++i) tags.emplace(std::to_string(i), std::string(60'000, 'x'));
  expect_error(ErrorCode::invalid_argument, "16 MiB", [&] { store.tag(saved[0], tags); });
  EXPECT_TRUE(store.find(parse_address("cnn@1")).tags.empty());
  store.tag(saved[0], {{"small", true}});
  EXPECT_TRUE(store.verify().clean());
  expect_index_as_rebuilt();
}

TEST_F(LaterFactTest, DecidesWhatPruneKeeps) {
  const auto saved = make_store(5);
  Store store = open();
  clock_->now = saved.back().created_ns;
  store.add_metrics(saved[1], {{"auc", 0.9}});
  store.add_metrics(saved[2], {{"auc", 0.7}});
  store.tag(saved[0], {{"paper", true}});
  KeepPolicy policy = keep_best("auc");
  policy.tags = {"paper"};
  const PrunePlan plan = store.prune(policy);
  ASSERT_EQ(plan.entries.size(), 5u);
  EXPECT_EQ(plan.entries[0].decision.reasons, std::vector<std::string>{"tag paper"});
  EXPECT_EQ(plan.entries[1].decision.reasons, std::vector<std::string>{"best 1 by auc:max"});
  EXPECT_FALSE(plan.entries[2].decision.keep);
  EXPECT_EQ(plan.entries[3].decision.reasons, std::vector<std::string>{"pending: no auc yet"});
  EXPECT_EQ(epochs(store.checkpoints(store.run("cnn").id)),
            (std::vector<std::int64_t>{1, 2, 4, 5}));
  clock_->now += 24 * std::int64_t{3'600'000'000'000};
  store.prune(policy);
  EXPECT_EQ(epochs(store.checkpoints(store.run("cnn").id)), (std::vector<std::int64_t>{1, 2, 5}));
  EXPECT_TRUE(store.verify().clean());
  expect_index_as_rebuilt();
}

// What was said of them stays, and brings nothing back.
TEST_F(LaterFactTest, RemovedCheckpointsAndRunsDoNotComeBack) {
  const auto saved = make_store(3);
  Store store = open();
  store.tag(saved[0], {{"a", 1}});
  store.note(store.run("cnn"), "n");
  store.remove_checkpoints(std::vector<Uuid>{saved[0].id});
  store.rebuild_index();
  EXPECT_EQ(epochs(store.checkpoints(store.run("cnn").id)), (std::vector<std::int64_t>{2, 3}));
  store.remove_run("cnn");
  store.rebuild_index();
  EXPECT_TRUE(store.runs().empty());
  EXPECT_TRUE(store.verify().clean());
}

TEST_F(LaterFactTest, ACheckpointThatIsPrunedBeforeItIsRefused) {
  const auto saved = make_store(3);
  Store other = open();
  const auto hooked = std::make_shared<HookedFileSystem>();
  Store store = Store::open(path(), {.file_system = hooked});
  hooked->before = [&](const std::string& operation) {
    if (operation != "open " + (path() / "lock").string()) return;
    hooked->before = nullptr;
    other.prune({.last = 1});
  };
  expect_error(ErrorCode::not_found, "is gone", [&] { store.tag(saved[0], {{"x", 1}}); });
  EXPECT_FALSE(hooked->before) << "it was pruned";
}

// Killed behind the marks, before the index has heard of it.
TEST_F(LaterFactTest, AnIndexThatWasNotToldIsResynced) {
  const auto saved = make_store(2);
  const auto hooked = std::make_shared<HookedFileSystem>();
  {
    Store store = Store::open(path(), {.file_system = hooked});
    const auto run = store.run("cnn");
    bool marked = false;
    hooked->before = [&](const std::string& operation) {
      marked = marked || (operation.starts_with("rename") && operation.ends_with("/marks"));
      if (marked && operation.find("/index") != std::string::npos) {
        throw Error(ErrorCode::io, operation + ": broken");
      }
    };
    store.tag(saved[0], {{"kept", true}});
    EXPECT_TRUE(marked);
    marked = false;
    store.note(run, "n");
    EXPECT_TRUE(marked);
    hooked->before = nullptr;
  }
  Store store = open();
  EXPECT_TRUE(store.find(parse_address("cnn@1")).tags.contains("kept"));
  EXPECT_EQ(store.run("cnn").later.size(), 1u);
  EXPECT_TRUE(store.verify().clean());
  expect_index_as_rebuilt();
}

TEST_F(LaterFactTest, SaidBesideEachOtherAndBesideSavesNothingIsLost) {
  constexpr int count = 8;
  const auto saved = make_store(2);
  std::vector<std::thread> threads;
  for (int who = 0; who < 2; ++who) {
    threads.emplace_back([&, who] {
      Store store = Store::open(path());
      for (int n = 0; n < count; ++n) {
        store.add_metrics(saved.at(n % 2 == 0 ? 0 : 1),
                          {{"m" + std::to_string(who * count + n), n}});
      }
    });
  }
  {
    Store store = Store::open(path());
    ckp::Run run = store.resume_run("cnn");
    for (int epoch = 3; epoch < 3 + count; ++epoch) save(run, epoch);
  }
  for (std::thread& thread : threads) thread.join();
  Store store = open();
  EXPECT_EQ(store.find(parse_address("cnn@1")).later.size() +
                store.find(parse_address("cnn@2")).later.size(),
            2u * count);
  EXPECT_TRUE(store.verify().clean());
  expect_index_as_rebuilt();
}

// A damaged file `marks` keeps nobody from reading: what the index has heard stays, and what is
// missing is said.
TEST_F(LaterFactTest, UnreadableMarksAreNamedAndForgottenOnlyByARepair) {
  const auto saved = make_store(2);
  {
    Store store = open();
    store.tag(saved[0], {{"kept", true}});
    EXPECT_TRUE(store.missing(store.run("cnn")).empty());
  }
  std::filesystem::rename(path() / "marks", path() / "away");
  {
    Store store = open();
    EXPECT_TRUE(store.find(parse_address("cnn@1")).tags.contains("kept"));
    ASSERT_EQ(store.missing(store.run("cnn")).size(), 1u);
    EXPECT_NE(store.missing(store.run("cnn"))[0].find("marks"), std::string::npos);
    expect_error(ErrorCode::corrupt, "marks", [&] { store.tag(saved[0], {{"b", 1}}); });
    expect_error(ErrorCode::corrupt, "marks", [&] { store.prune({.last = 1}); });
    store.rebuild_index();
    EXPECT_FALSE(store.find(parse_address("cnn@1")).tags.contains("kept")) << "nobody knows";
  }
  std::filesystem::rename(path() / "away", path() / "marks");
  {
    Store store = open();
    EXPECT_TRUE(store.find(parse_address("cnn@1")).tags.contains("kept")) << "it is back";
    expect_index_as_rebuilt();
  }
  std::filesystem::remove(path() / "marks");
  repair(path());
  Store store = open();
  EXPECT_FALSE(store.find(parse_address("cnn@1")).tags.contains("kept"));
  EXPECT_TRUE(store.missing(store.run("cnn")).empty());
  EXPECT_TRUE(store.verify().clean());
  store.tag(saved[0], {{"kept", true}});
  EXPECT_TRUE(store.verify().clean());
}

using LaterFactRepairTest = test::RepairTest;

TEST_F(LaterFactRepairTest, AMendedCheckpointKeepsWhatWasSaidOfIt) {
  Store store = Store::open(path());
  store.tag(saved_[2], {{"kept", true}});
  store.note(store.run("cnn"), "n");
  flip_manifest(packs_[2], 0);
  ASSERT_FALSE(store.verify().clean());
  repair(path());
  Store mended = Store::open(path());
  EXPECT_TRUE(mended.verify().clean());
  EXPECT_TRUE(mended.find(parse_address("cnn@2")).tags.contains("kept"));
  EXPECT_EQ(mended.run("cnn").later.size(), 1u);
}

TEST_F(LaterFactTest, WithoutAnIndexTheFilesHaveThem) {
  const auto saved = make_store(2);
  {
    Store store = open();
    store.tag(saved[0], {{"kept", true}});
    store.note(store.run("cnn"), "n");
  }
  std::filesystem::remove_all(path() / "index");
  const auto hooked = std::make_shared<HookedFileSystem>();
  hooked->before = [](const std::string& operation) {
    if (operation.find("index") != std::string::npos) {
      throw Error(ErrorCode::read_only, operation + ": refused");
    }
  };
  const Store store = Store::open(path(), {.file_system = hooked});
  EXPECT_TRUE(store.find(parse_address("cnn@1")).tags.contains("kept"));
  EXPECT_EQ(store.run("cnn").later.size(), 1u);
  EXPECT_TRUE(store.missing(store.run("cnn")).empty());
}

TEST_F(LaterFactTest, AResumeFindsTheBestByWhatWasMeasuredSince) {
  const auto saved = make_store(3);
  Store store = open();
  store.add_metrics(saved[0], {{"auc", 0.9}});
  const ckp::Run run = store.resume_run("cnn", parse_address("cnn@best:auc:max"));
  EXPECT_EQ(run.record().attempts.back().continued_from, saved[0].id);
}

}  // namespace
}  // namespace ckp

// Aliases: names that point at checkpoints, and keep them.
#include <thread>

#include "ckp/repair.h"
#include "store_fixture.h"
#include "support/hooked_file_system.h"
#include "support/set_clock.h"

namespace ckp {
namespace {

using test::expect_error;
using test::HookedFileSystem;
using test::SetClock;
using test::StoreTest;

class AliasTest : public StoreTest {
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
  static CheckpointRecord find(const Store& store, const std::string& alias) {
    return store.find(parse_address("@" + alias));
  }
  static KeepPolicy keep_last() {
    KeepPolicy policy;
    policy.last = 1;
    return policy;
  }
  std::shared_ptr<SetClock> clock_ = std::make_shared<SetClock>();
};

TEST_F(AliasTest, PointsWhereItWasPromotedToAndKeepsItsHistory) {
  const auto saved = make_store(3);
  Store store = open();
  expect_error(ErrorCode::not_found, "no alias 'production'", [&] { find(store, "production"); });
  clock_->now = 1000;
  store.promote(saved[0], "production", {"first", {{"region", "eu"}}});
  clock_->now = 2000;
  store.promote(saved[2], "production");
  store.promote(saved[1], "staging");
  EXPECT_EQ(find(store, "production").id, saved[2].id);
  const Store other = Store::open(path());
  EXPECT_EQ(find(other, "staging").id, saved[1].id);
  EXPECT_EQ(other.find_alias_at("production", 1999).id, saved[0].id);
  EXPECT_EQ(other.find_alias_at("production", 2000).id, saved[2].id);
  expect_error(ErrorCode::not_found, "no alias 'production'",
               [&] { other.find_alias_at("production", 999); });

  const auto history = other.alias_history();
  ASSERT_EQ(history.size(), 3u);
  EXPECT_EQ(history[0].alias, "production");
  EXPECT_EQ(history[0].from, std::nullopt);
  EXPECT_EQ(history[0].to, saved[0].id);
  EXPECT_EQ(history[0].time_ns, 1000);
  EXPECT_NE(history[0].who.find('@'), std::string::npos) << history[0].who;
  EXPECT_EQ(history[0].note, "first");
  EXPECT_EQ(history[0].metadata, (Value::Map{{"region", "eu"}}));
  EXPECT_EQ(history[1].from, saved[0].id);
  EXPECT_EQ(history[1].to, saved[2].id);
  EXPECT_EQ(history[1].note, "");
  EXPECT_EQ(history[2].alias, "staging");
  EXPECT_TRUE(other.verify().clean());
}

TEST_F(AliasTest, ARollbackGoesBackStepByStep) {
  const auto saved = make_store(3);
  Store store = open();
  store.promote(saved[0], "production", {"", {{"port", "1"}}});
  expect_error(ErrorCode::not_found, "pointed at nothing else before",
               [&] { store.roll_back("production"); });
  expect_error(ErrorCode::not_found, "aliases: production", [&] { store.roll_back("staging"); });
  store.promote(saved[1], "production");
  store.promote(saved[2], "staging");
  store.promote(saved[2], "production");
  store.promote(saved[2], "production", {"once more", {}});  // nowhere else to go back to
  EXPECT_EQ(store.roll_back("production", "slow").to, saved[1].id);
  EXPECT_EQ(find(store, "production").id, saved[1].id);
  const AliasChange last = store.roll_back("production");
  EXPECT_EQ(last.from, saved[1].id);
  EXPECT_EQ(last.to, saved[0].id);
  EXPECT_EQ(last.metadata, (Value::Map{{"port", "1"}}));
  EXPECT_EQ(find(store, "production").id, saved[0].id);
  expect_error(ErrorCode::not_found, "nothing else before", [&] { store.roll_back("production"); });
  store.promote(saved[2], "production");
  EXPECT_EQ(store.roll_back("production").to, saved[0].id);
  EXPECT_EQ(find(store, "staging").id, saved[2].id);
}

TEST_F(AliasTest, ARollbackToACheckpointThatIsGoneChangesNothing) {
  const auto saved = make_store(3);
  Store store = open();
  store.promote(saved[0], "production");
  store.promote(saved[1], "production");
  store.remove_checkpoints(std::span(&saved[0].id, 1));
  expect_error(ErrorCode::not_found, "is gone", [&] { store.roll_back("production"); });
  EXPECT_EQ(find(store, "production").id, saved[1].id);
  EXPECT_EQ(store.alias_history().size(), 2u);
}

TEST_F(AliasTest, PruneKeepsWhatAnAliasPointsAtAndSaysWhy) {
  const auto saved = make_store(4);
  Store store = open();
  store.promote(saved[0], "production");
  store.promote(saved[1], "staging");
  store.promote(saved[0], "staging");
  store.promote(saved[3], "newest");
  const PrunePlan plan = store.plan_prune(keep_last());
  ASSERT_EQ(plan.entries.size(), 4u);
  EXPECT_EQ(plan.entries[0].decision.reasons,
            (std::vector<std::string>{"alias production", "alias staging"}));
  EXPECT_EQ(plan.entries[3].decision.reasons.back(), "alias newest");
  EXPECT_GT(plan.entries[3].decision.reasons.size(), 1u);
  store.prune(keep_last());
  EXPECT_EQ(epochs(store.checkpoints(store.run("cnn").id)), (std::vector<std::int64_t>{1, 4}));
  store.remove_alias("production");
  store.prune(keep_last());
  EXPECT_EQ(find(store, "staging").id, saved[0].id);
  store.remove_alias("staging");
  store.prune(keep_last());
  EXPECT_EQ(epochs(store.checkpoints(store.run("cnn").id)), (std::vector<std::int64_t>{4}));
}

TEST_F(AliasTest, RemovalsRefuseAndNameTheAlias) {
  const auto saved = make_store(2);
  Store store = open();
  store.promote(saved[0], "production");
  const std::vector<Uuid> both{saved[0].id, saved[1].id};
  expect_error(ErrorCode::invalid_argument, "alias production points at",
               [&] { store.remove_checkpoints(both); });
  expect_error(ErrorCode::invalid_argument, "alias production points at",
               [&] { store.remove_run("cnn"); });
  EXPECT_EQ(store.checkpoints(store.run("cnn").id).size(), 2u);
  store.promote(saved[1], "production");
  store.remove_checkpoints(std::span(both).first(1));
  store.remove_alias("production", "nobody serves it");
  expect_error(ErrorCode::not_found, "no alias", [&] { find(store, "production"); });
  expect_error(ErrorCode::not_found, "no alias", [&] { store.remove_alias("production"); });
  store.remove_run("cnn");
  EXPECT_EQ(store.alias_history().size(), 3u) << "what was is still told";
}

TEST_F(AliasTest, NamesThatWouldMeanSomethingElseAreRefused) {
  const auto saved = make_store(1);
  Store store = open();
  for (const std::string name : {"", "latest", "final", "best", "12", "abcdef", "0a1b2c3d", "a b",
                                 "a@b", "-x", ".x", "step:3", "\xc3\xa4"}) {
    expect_error(ErrorCode::invalid_argument, "alias", [&] { store.promote(saved[0], name); });
  }
  EXPECT_TRUE(store.alias_history().empty());
  EXPECT_FALSE(std::filesystem::exists(path() / "marks"));
  for (const std::string name : {"production", "v1.2", "2026-10_eu", "a"}) {
    store.promote(saved[0], name);
    EXPECT_EQ(find(store, name).id, saved[0].id);
  }
}

TEST_F(AliasTest, SurvivesTheIndexAndACopyOfTheStore) {
  const auto saved = make_store(2);
  {
    Store store = open();
    store.promote(saved[0], "production");
    std::filesystem::remove_all(path() / "index");
    store.rebuild_index();
    EXPECT_EQ(find(store, "production").id, saved[0].id);
  }
  std::filesystem::copy(path(), directory_ / "copy", std::filesystem::copy_options::recursive);
  Store copy = Store::open(directory_ / "copy");
  EXPECT_EQ(find(copy, "production").id, saved[0].id);
  copy.promote(saved[1], "production");
  EXPECT_TRUE(copy.verify().clean());
  EXPECT_EQ(find(open(), "production").id, saved[0].id);
}

TEST_F(AliasTest, ARunResumesFromAnAliasOfItsOwn) {
  const auto saved = make_store(3);
  Store store = open();
  {
    ckp::Run other = store.create_run(run_options("other"));
    store.promote(save(other, 1), "theirs");
  }
  store.promote(saved[1], "production");
  expect_error(ErrorCode::not_found, "cnn",
               [&] { store.resume_run("cnn", parse_address("@theirs")); });
  ckp::Run run = store.resume_run("cnn", parse_address("@production"));
  EXPECT_EQ(run.record().attempts.back().continued_from, saved[1].id);
}

// Acts through another handle when `store` has looked at the marks outside the lock, and is about
// to take it.
void between(HookedFileSystem& hooked, const std::filesystem::path& root,
             const std::function<void()>& act) {
  hooked.before = [&hooked, root, act](const std::string& operation) {
    if (operation != "status " + (root / "marks").string()) return;
    hooked.before = [&hooked, root, act](const std::string& next) {
      if (next != "open " + (root / "lock").string()) return;
      hooked.before = nullptr;
      act();
    };
  };
}

TEST_F(AliasTest, APromotionAfterPruneHasDecidedIsSeenUnderTheLock) {
  const auto saved = make_store(3);
  Store other = open();
  const auto hooked = std::make_shared<HookedFileSystem>();
  Store store = Store::open(path(), {.file_system = hooked});
  between(*hooked, path(), [&] { other.promote(saved[0], "production"); });
  const PrunePlan plan = store.prune(keep_last());
  EXPECT_FALSE(hooked->before) << "it was promoted";
  EXPECT_EQ(plan.entries[0].decision.reasons, std::vector<std::string>{"alias production"});
  EXPECT_EQ(find(other, "production").id, saved[0].id);
  EXPECT_EQ(epochs(store.checkpoints(store.run("cnn").id)), (std::vector<std::int64_t>{1, 3}));
}

TEST_F(AliasTest, ACheckpointThatIsPrunedBeforeThePromotionIsRefused) {
  const auto saved = make_store(3);
  Store other = open();
  const auto hooked = std::make_shared<HookedFileSystem>();
  Store store = Store::open(path(), {.file_system = hooked});
  hooked->before = [&](const std::string& operation) {
    if (operation != "open " + (path() / "lock").string()) return;
    hooked->before = nullptr;
    other.prune(keep_last());
  };
  expect_error(ErrorCode::not_found, "is gone", [&] { store.promote(saved[0], "production"); });
  EXPECT_FALSE(hooked->before) << "it was pruned";
  EXPECT_TRUE(store.alias_history().empty());
}

TEST_F(AliasTest, PromotionsBesideEachOtherAndAPruneLoseNothing) {
  constexpr int count = 12;
  const auto saved = make_store(count + 1);
  const auto promote_all = [&](const std::string& name, std::vector<Uuid>& promoted) {
    Store store = Store::open(path());
    for (int i = 0; i < count; ++i) {
      try {
        store.promote(saved[static_cast<std::size_t>(i)], name + std::to_string(i));
        promoted.push_back(saved[static_cast<std::size_t>(i)].id);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::not_found) << error.what();
      }
    }
  };
  std::vector<Uuid> first, second;
  std::thread one([&] { promote_all("one", first); });
  std::thread two([&] { promote_all("two", second); });
  std::thread pruner([&] { Store::open(path()).prune(keep_last()); });
  one.join();
  two.join();
  pruner.join();
  const Store store = Store::open(path());
  EXPECT_EQ(store.alias_history().size(), first.size() + second.size());
  for (const auto& [name, change] : current_aliases(store.alias_history())) {
    EXPECT_EQ(find(store, name).id, *change.to);
  }
  EXPECT_TRUE(store.verify().clean());
}

}  // namespace
}  // namespace ckp

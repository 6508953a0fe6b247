// The policies that a store keeps: what was set decides, for prune and for each run that saves.
#include "retention/stored_policy.h"

#include <random>

#include "ckp/repair.h"
#include "engine/store_fixture.h"

namespace ckp {
namespace {

using test::expect_error;
using Epochs = std::vector<std::int64_t>;

class StoredPolicyTest : public test::StoreTest {
 protected:
  ckp::Run make_run(const std::string& name, int epochs) {
    ckp::Run run = store_.create_run(run_options(name));
    for (int epoch = 1; epoch <= epochs; ++epoch) save(run, epoch, 10.0 - epoch);
    return run;
  }
  // Done when it returns, with all that comes after a save.
  static SaveReport save_now(ckp::Run& run, int epoch, SaveOptions options = {}) {
    options.epoch = epoch;
    options.step = epoch * 100;
    options.snapshot = SnapshotMode::none;
    return run.save(test::SmallState(epoch).dict(), options).wait();
  }
  Epochs left(const std::string& run) const {
    return epochs(store_.checkpoints(store_.run(run).id));
  }
  static std::string reason(const PrunePlan& plan, std::size_t i) {
    return plan.entries.at(i).decision.reasons.at(0);
  }

  Store store_ = Store::create(path());
};

TEST_F(StoredPolicyTest, WhatIsSetIsFoundByEveryProcess) {
  EXPECT_TRUE(store_.policies().empty());
  make_run("cnn", 1);
  KeepPolicy policy;
  policy.last = 2;
  policy.best = {{3, "val/loss", std::nullopt}, {1, "auc", Better::higher, false}};
  policy.every_epochs = 10;
  policy.every_steps = 500;
  policy.within_ns = 7;
  policy.daily = 5;
  policy.tags = {"a b", "c"};
  store_.set_policy(policy);
  store_.set_policy({.last = 1}, "cnn");
  const StoredPolicies found = Store::open(path()).policies();
  ASSERT_TRUE(found.store);
  const KeepPolicy& keep = found.store->keep;
  EXPECT_EQ(keep.last, 2u);
  ASSERT_EQ(keep.best.size(), 2u);
  EXPECT_EQ(keep.best[0].count, 3u);
  EXPECT_EQ(keep.best[0].metric, "val/loss");
  EXPECT_EQ(keep.best[0].better, std::nullopt);
  EXPECT_TRUE(keep.best[0].pending);
  EXPECT_EQ(keep.best[1].better, Better::higher);
  EXPECT_FALSE(keep.best[1].pending);
  EXPECT_EQ(keep.every_epochs, 10);
  EXPECT_EQ(keep.every_steps, 500);
  EXPECT_EQ(keep.within_ns, 7);
  EXPECT_EQ(keep.daily, 5u);
  EXPECT_EQ(keep.tags, policy.tags);
  EXPECT_NE(found.store->who.find('@'), std::string::npos);
  EXPECT_GT(found.store->time_ns, 0);
  ASSERT_EQ(found.runs.size(), 1u);
  EXPECT_EQ(found.of(store_.run("cnn").id)->keep.last, 1u);
  EXPECT_EQ(found.of(Uuid{})->keep.last, 2u);
}

TEST_F(StoredPolicyTest, TheLastOneCountsAsAWhole) {
  store_.set_policy({.last = 2, .tags = {"gold"}});
  store_.set_policy({.daily = 3});
  EXPECT_EQ(store_.policies().store->keep.last, 0u);
  EXPECT_EQ(store_.policies().store->keep.tags.size(), 0u);
  store_.clear_policy();
  EXPECT_TRUE(store_.policies().empty());
}

TEST_F(StoredPolicyTest, WhatKeepsNothingIsRefused) {
  expect_error(ErrorCode::invalid_argument, "no rule", [&] { store_.set_policy({}); });
  expect_error(ErrorCode::invalid_argument, "no rule", [&] {
    store_.set_policy({.best = {{0, "auc", Better::higher}}});
  });
  expect_error(ErrorCode::invalid_argument, "negative",
               [&] { store_.set_policy({.last = 1, .every_steps = -1}); });
  expect_error(ErrorCode::invalid_argument, "names the metric", [&] {
    store_.set_policy({.best = {{2, ""}}});
  });
  expect_error(ErrorCode::not_found, "nobody", [&] { store_.set_policy({.last = 1}, "nobody"); });
  expect_error(ErrorCode::not_found, "nobody", [&] { store_.clear_policy("nobody"); });
  EXPECT_TRUE(store_.policies().empty());
  EXPECT_FALSE(std::filesystem::exists(path() / "marks"));
  expect_error(ErrorCode::invalid_argument, "ckptool policy", [&] { store_.plan_policy(); });
  expect_error(ErrorCode::invalid_argument, "ckptool policy", [&] { store_.apply_policy(); });
}

TEST_F(StoredPolicyTest, APruneGoesByItAndARunsOwnTakesItsPlace) {
  make_run("cnn", 4);
  make_run("wide", 4);
  store_.set_policy({.last = 3}, "wide");
  PrunePlan plan = store_.plan_policy();
  ASSERT_EQ(plan.entries.size(), 8u);
  EXPECT_EQ(reason(plan, 0), "no policy");
  store_.set_policy({.last = 1});
  plan = store_.plan_policy();
  const PrunePlan done = store_.apply_policy();
  EXPECT_EQ(done.bytes_freed, plan.bytes_freed);
  EXPECT_GT(done.bytes_freed, 0u);
  EXPECT_EQ(left("cnn"), Epochs{4});
  EXPECT_EQ(left("wide"), (Epochs{2, 3, 4}));
  store_.clear_policy("wide");
  const std::vector<std::string> other{"cnn"}, wide{"wide"};
  store_.apply_policy(other);
  EXPECT_EQ(left("wide").size(), 3u);
  store_.apply_policy(wide);
  EXPECT_EQ(left("wide"), Epochs{4});
}

TEST_F(StoredPolicyTest, AnAliasAndRulesGivenOnceCountAsEver) {
  make_run("cnn", 4);
  store_.promote(store_.find(parse_address("cnn@2")), "production");
  store_.set_policy({.last = 1});
  store_.prune({.last = 2});
  EXPECT_EQ(left("cnn"), (Epochs{2, 3, 4})) << "rules that are given count alone";
  store_.apply_policy();
  EXPECT_EQ(left("cnn"), (Epochs{2, 4}));
  EXPECT_EQ(store_.alias_history().size(), 1u);
  EXPECT_EQ(store_.policies().store->keep.last, 1u) << "a later mark has not lost it";
}

// A run that has only begun, or never measures what the policy goes by.
TEST_F(StoredPolicyTest, NothingGoesWhereARuleMatchesNothingYet) {
  make_run("cnn", 3);
  store_.set_policy({.last = 1, .best = {{1, "auc", Better::higher}}});
  EXPECT_EQ(reason(store_.plan_policy(), 0), "no checkpoint of the run has auc yet");
  store_.apply_policy();
  EXPECT_EQ(left("cnn").size(), 3u);
  store_.add_metrics(store_.find(parse_address("cnn@1")), {{"auc", 0.5}});
  store_.add_metrics(store_.find(parse_address("cnn@3")), {{"auc", 0.4}});
  store_.set_policy({.best = {{1, "auc"}}});
  EXPECT_NE(reason(store_.plan_policy(), 0).find("does not declare"), std::string::npos);
  store_.set_policy({.best = {{1, "auc", Better::higher}}});
  store_.apply_policy();
  EXPECT_EQ(left("cnn"), (Epochs{1, 3}));

  store_.set_policy({.tags = {"gold"}});
  EXPECT_EQ(reason(store_.plan_policy(), 0), "no checkpoint of the run has such a tag yet");
  store_.set_policy({.last = 1, .tags = {"gold"}});
  store_.apply_policy();
  EXPECT_EQ(left("cnn"), Epochs{3});
}

// As a later version may write it.
TEST_F(StoredPolicyTest, AnUnknownRuleRefusesItsPolicyAndNothingElse) {
  make_run("cnn", 3);
  store_.promote(store_.find(parse_address("cnn@1")), "production");
  format::StoreIdentity identity;
  identity.uuid = store_.uuid();
  StoreCore core(path(), {}, identity);
  change_marks(core, [](Marks& marks) {
    marks.policies.push_back({.rules = Value::Map{{"last", 1}, {"fair", true}}});
  });
  expect_error(ErrorCode::newer_format, "'fair'", [&] { store_.policies(); });
  expect_error(ErrorCode::newer_format, "'fair'", [&] { store_.plan_policy(); });
  expect_error(ErrorCode::newer_format, "'fair'", [&] { store_.apply_policy(); });
  EXPECT_EQ(store_.find(parse_address("@production")).epoch, 1);
  store_.promote(store_.find(parse_address("cnn@2")), "production");
  expect_error(ErrorCode::newer_format, "'fair'", [&] { store_.policies(); });
  store_.prune({.last = 1});
  EXPECT_EQ(left("cnn"), (Epochs{2, 3}));
  store_.set_policy({.last = 1});
  EXPECT_EQ(store_.plan_policy().entries.size(), 2u);
}

TEST_F(StoredPolicyTest, MarksThatCannotBeReadRefuseIt) {
  make_run("cnn", 3);
  store_.set_policy({.last = 1});
  std::filesystem::resize_file(path() / "marks", 100);
  expect_error(ErrorCode::corrupt, "marks", [&] { store_.policies(); });
  expect_error(ErrorCode::corrupt, "marks", [&] { store_.apply_policy(); });
  expect_error(ErrorCode::corrupt, "marks", [&] { store_.set_policy({.last = 2}); });
  EXPECT_EQ(left("cnn").size(), 3u);
  repair(path());
  EXPECT_TRUE(Store::open(path()).policies().empty());
}

TEST_F(StoredPolicyTest, EachSaveAppliesItToItsRun) {
  make_run("other", 3);
  ckp::Run run = make_run("cnn", 3);
  EXPECT_EQ(left("cnn").size(), 3u);
  Store::open(path()).set_policy({.last = 2});
  EXPECT_EQ(save_now(run, 4).policy_problem, "");
  EXPECT_EQ(left("cnn"), (Epochs{3, 4}));
  EXPECT_EQ(left("other").size(), 3u);
  Store::open(path()).set_policy({.last = 1}, "cnn");
  save_now(run, 5);
  EXPECT_EQ(left("cnn"), Epochs{5});
  Store::open(path()).clear_policy("cnn");
  save_now(run, 6, {.apply_policy = false});
  save_now(run, 7, {.apply_policy = false});
  EXPECT_EQ(left("cnn"), (Epochs{5, 6, 7}));
  save_now(run, 8, {.tags = {{std::string(mid_step_tag), "an exception"}}});
  EXPECT_EQ(left("cnn").size(), 4u) << "somebody must see it first";
  Store::open(path()).clear_policy();
  save_now(run, 9);
  EXPECT_EQ(left("cnn").size(), 5u);
}

TEST_F(StoredPolicyTest, SavesInTheBackgroundApplyItBeforeTheRunEnds) {
  store_.set_policy({.last = 1});
  {
    ckp::Run run = store_.create_run(run_options("cnn"));
    std::vector<PendingSave> pending;
    for (int epoch = 1; epoch <= 20; ++epoch) {
      pending.push_back(run.save(test::SmallState(epoch).dict(), {.epoch = epoch, .step = epoch}));
    }
    run.finish(RunStatus::completed);
    EXPECT_EQ(left("cnn"), Epochs{20});
    for (PendingSave& save : pending) EXPECT_EQ(save.wait().policy_problem, "");
  }
  EXPECT_TRUE(store_.verify({.level = VerifyLevel::full}).clean());
}

TEST_F(StoredPolicyTest, ATrainingGoesOnWhereItCannotBeApplied) {
  ckp::Run run = make_run("cnn", 2);
  store_.set_policy({.last = 1});
  {
    const StoreHold hold = store_.hold();
    EXPECT_EQ(save_now(run, 3).policy_problem, "");
    EXPECT_NE(save_now(run, 4).policy_problem.find("holds the store"), std::string::npos);
    EXPECT_EQ(left("cnn").size(), 4u);
  }
  save_now(run, 5);
  EXPECT_EQ(left("cnn"), Epochs{5});
  EXPECT_EQ(save_now(run, 6).policy_problem, "");

  std::filesystem::resize_file(path() / "marks", 100);
  save_now(run, 7);
  EXPECT_NE(save_now(run, 8).policy_problem.find("marks"), std::string::npos);
  EXPECT_EQ(left("cnn"), (Epochs{6, 7, 8}));
}

// They would keep on the disk what the policy gives up.
TEST_F(StoredPolicyTest, NoDifferencesWhereThereIsAPolicy) {
  std::vector<float> weights(1 << 18);
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (float& weight : weights) weight = normal(random);
  StateDict state;
  state.add("weights", contiguous_view(DType::float32, {1 << 18}, weights.data()));
  ckp::Run run = store_.create_run(run_options("cnn"));
  const auto save_next = [&] {
    for (float& weight : weights) weight *= 1.0f + 1e-4f * normal(random);
    SaveOptions options{.snapshot = SnapshotMode::none};
    return run.save(state, options).wait().differences_written;
  };
  save_next();
  EXPECT_GT(save_next(), 0u);
  store_.set_policy({.last = 5}, "cnn");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(save_next(), 0u) << i;
  store_.clear_policy("cnn");
  save_next();
  EXPECT_GT(save_next(), 0u);
}

}  // namespace
}  // namespace ckp

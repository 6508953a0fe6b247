// Several ranks: which one saves, and what a checkpoint of one of them lacks.
#include "ckp/libtorch/ranks.h"

#include <cstdlib>
#include <map>
#include <sstream>

#include "ckp/certificate.h"
#include "small_training.h"

namespace ckp::test {
namespace {

using libtorch::Ranks;
using libtorch::ranks_from_environment;

class RanksTest : public ::testing::Test {
 protected:
  static constexpr const char* variables[] = {"RANK", "WORLD_SIZE", "SLURM_PROCID",
                                              "SLURM_STEP_NUM_TASKS"};
  void SetUp() override { set({}); }
  void TearDown() override { set({}); }
  // These, and none of the others.
  static void set(const std::map<std::string, std::string>& values) {
    for (const char* name : variables) ::unsetenv(name);
    for (const auto& [name, value] : values) ::setenv(name.c_str(), value.c_str(), 1);
  }
  static std::string text_of(const libtorch::RestoreReport& report) {
    std::ostringstream text;
    text << report;
    return text.str();
  }

  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "a.ckp";
};

TEST_F(RanksTest, AsTorchrunAndSlurmSayThem) {
  auto expect = [](std::int64_t rank, std::int64_t world_size) {
    EXPECT_EQ(ranks_from_environment().rank, rank);
    EXPECT_EQ(ranks_from_environment().world_size, world_size);
  };
  expect(0, 1);
  set({{"SLURM_PROCID", "2"}, {"SLURM_STEP_NUM_TASKS", "4"}});
  expect(2, 4);
  set({{"RANK", "5"},
       {"WORLD_SIZE", "8"},
       {"SLURM_PROCID", "0"},
       {"SLURM_STEP_NUM_TASKS", "1"}});  // torchrun in one task of Slurm
  expect(5, 8);
  set({{"RANK", "5"}});  // somebody else's
  expect(0, 1);
  set({{"RANK", "8"}, {"WORLD_SIZE", "8"}});
  EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument, [] { ranks_from_environment(); }),
                       "RANK=8 and WORLD_SIZE=8"));
  set({{"RANK", "two"}, {"WORLD_SIZE", "8"}});
  EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument, [] { ranks_from_environment(); }),
                       "RANK=\"two\""));
}

TEST_F(RanksTest, OnlyRankZeroSavesUnlessAskedFor) {
  set({{"RANK", "1"}, {"WORLD_SIZE", "2"}});
  Training training(folder_ / "store");
  auto save = [&] { libtorch::save_file(file_, training.state); };
  EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument, save), "save on rank 1 of 2"));
  EXPECT_TRUE(contains(
      error_of(ErrorCode::invalid_argument, [&] { libtorch::save_file(file_, *training.net); }),
      "save_on_every_rank"));
  EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument,
                                [&] { TrainingLoop loop(training.store, "run", training.state); }),
                       "save on rank 1 of 2"));
  EXPECT_FALSE(std::filesystem::exists(file_));
  training.state.ranks({1, 2, /*save_on_every_rank=*/true});
  save();
  training.state.ranks({0, 2});  // says more than the environment
  save();
  EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument,
                                [&] {
                                  training.state.ranks({2, 2});
                                }),
                       "no rank 2"));
  set({{"RANK", "0"}, {"WORLD_SIZE", "2"}});
  libtorch::save_file(file_, *training.net);
}

TEST_F(RanksTest, EachRankMaySaveARunOfItsOwn) {
  for (std::int64_t rank : {0, 1}) {
    Training training(folder_ / "store");
    training.state.ranks({rank, 2, /*save_on_every_rank=*/true});
    TrainingLoop loop(training.store, "rank" + std::to_string(rank), training.state,
                      training.options);
    loop.check_resume(2);
    training.train(loop, 1);
    EXPECT_TRUE(loop.resume_proof()->proven);
  }
}

TEST_F(RanksTest, TheCertificateHasThem) {
  Training training(folder_ / "store");
  training.state.ranks({0, 4});
  training.options.accumulate = 2;
  {
    TrainingLoop loop(training.store, "run", training.state, training.options);
    training.train(loop, 1);
  }
  Store store = Store::open(training.store);
  const Checkpoint checkpoint = store.open_checkpoint(store.find(parse_address("run")));
  const Value& facts = *find_value(checkpoint.values(), std::string(certificate_part) + "/facts");
  EXPECT_EQ(*facts.find("world_size"), Value(4));
  EXPECT_EQ(*facts.find("rank"), Value(0));
  EXPECT_EQ(*facts.find("batch_size"), Value(4));
  EXPECT_EQ(*facts.find("accumulate"), Value(2));
  EXPECT_EQ(*facts.find("total_epochs"), Value(1));
  EXPECT_EQ(*facts.find("devices"), Value(Value::List{"cpu"}));
}

TEST_F(RanksTest, WhatOtherRanksHadIsMissing) {
  Training training(folder_ / "store");
  training.state.generator("augment", at::make_generator<at::CPUGeneratorImpl>(1));
  libtorch::save_file(file_, training.state.ranks({0, 4}));
  const auto here = libtorch::load_file(file_, training.state);
  EXPECT_EQ(here.missing,
            (std::vector<std::string>{"random of 3 other ranks", "augment of 3 other ranks"}));
  EXPECT_TRUE(contains(text_of(here), "random (1 tensor)"));
  EXPECT_TRUE(contains(text_of(here), "; missing: random of 3 other ranks, augment of 3"));
  EXPECT_FALSE(here.exact());
  EXPECT_TRUE(
      contains(error_of(ErrorCode::mismatch,
                        [&] { libtorch::load_file(file_, training.state, {.exact = true}); }),
               "random of 3 other ranks"));

  // On another rank, its own numbers stay; on one alone, they come back.
  torch::manual_seed(77);
  const at::Tensor own = at::rand({4});
  torch::manual_seed(77);
  const auto other = libtorch::load_file(file_, training.state.ranks({2, 4}));
  EXPECT_TRUE(at::equal(at::rand({4}), own));
  EXPECT_EQ(other.missing[0], "random of rank 2 (rank 0 saved)");
  EXPECT_TRUE(contains(text_of(other), "rank: program 2, checkpoint 0"));
  EXPECT_TRUE(contains(text_of(other), "ignored: augment (1 tensor), random (1 tensor)"));

  libtorch::save_file(file_, training.state.ranks({0, 1}));
  EXPECT_TRUE(libtorch::load_file(file_, training.state).exact());
}

}  // namespace
}  // namespace ckp::test

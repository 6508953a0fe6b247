// A loop that begins with the weights of another run: once, on record, and never again.
#include <fstream>
#include <iterator>
#include <sstream>

#include "ckp/libtorch/tensor.h"
#include "small_training.h"

namespace ckp::test {
namespace {

// As many classes as the new task has.
struct Tuning : Training {
  explicit Tuning(const std::filesystem::path& path, std::int64_t classes = 3) : Training(path) {
    net->fc2 = net->replace_module("fc2", torch::nn::Linear(7, classes));
    adam = std::make_unique<torch::optim::AdamW>(net->parameters(), 1e-2);
    steps = std::make_unique<torch::optim::StepLR>(*adam, 1, 0.5);
    samples.target = at::ones({24, classes});
    state = TrainingState()
                .model("model", net)
                .optimizer("optimizer", *adam)
                .scheduler("scheduler", *steps)
                .part("sampler", sampler)
                .random_state("random");
  }
};

class FineTuning : public Loop {
 protected:
  // Three epochs of a run, and the first of them in production.
  void SetUp() override {
    Training base(path_);
    TrainingLoop loop(path_, "base", base.state, base.options);
    base.train(loop, 3);
    loop.store().promote(loop.store().find(parse_address("base@1")), "production");
  }
  static std::string text_of(const auto& report) {
    std::ostringstream text;
    text << report;
    return text.str();
  }
  static void end_in_the_middle(TrainingLoop& loop) {
    if (loop.progress().step == 8) throw std::runtime_error("ended");
  }
  RunRecord record(const std::string& run) { return Store::open(path_).run(run); }
};

// The lines of the README's example are those of this test.
TEST_F(FineTuning, ANewHeadAsInTheReadme) {
  Tuning tuning(path_, /*classes=*/10);
  auto [store, state, options] = std::tie(path_, tuning.state, tuning.options);
  const at::Tensor head = tuning.net->fc2->weight.detach().clone();
  ::testing::internal::CaptureStdout();
  // clang-format off
  ckp::libtorch::TrainingLoop loop(store, "flowers", state, options);
  std::cout << loop.start_from("@production", {.select = {.exclude = {"model/fc2.*"}}});
  std::cout << loop.resume();
  // clang-format on
  const std::string said = ::testing::internal::GetCapturedStdout();
  const CheckpointRecord base = Store::open(path_).find(parse_address("base@1"));
  EXPECT_TRUE(contains(said, "flowers begins with the weights of base@" + base.id.short_hex() +
                                 " (epoch 1, step 6)\nrestored: model (7 tensors); missing: none; "
                                 "ignored: model (2 tensors), optimizer (12 tensors), "));
  EXPECT_TRUE(contains(said, "\nstarted flowers\n"));
  EXPECT_TRUE(at::equal(tuning.net->fc2->weight, head));
  const auto weights = libtorch::read_tensors(Store::open(path_).open_checkpoint(base));
  EXPECT_TRUE(at::equal(tuning.net->fc1->weight, weights.at("model/fc1.weight")));
  EXPECT_TRUE(tuning.adam->state().empty());
  EXPECT_EQ(loop.progress().step, 0);
  tuning.train(loop, 1);
  EXPECT_EQ(record("flowers").parent,
            (ParentCheckpoint{base.id, base.run, "base", base.epoch, base.step}));

  std::ifstream readme(CKP_SOURCE_DIR "/README.md"), own(__FILE__);
  const std::string source{std::istreambuf_iterator<char>(own), {}};
  std::size_t checked = 0;
  for (std::string line; std::getline(readme, line);) {
    if (line.find("flowers") == std::string::npos && line.find("start_from(") == std::string::npos)
      continue;
    if (line.find(';') == std::string::npos) continue;  // what it prints
    EXPECT_TRUE(contains(source, line.substr(0, line.find(';'))));
    ++checked;
  }
  EXPECT_EQ(checked, 2u);
}

// The program is started with the same words each time.
TEST_F(FineTuning, OnceBegunItGoesOnFromItsOwnCheckpointsWithoutTheParent) {
  const auto whole = [&] {
    Tuning tuning(folder_ / "other");
    TrainingLoop loop(tuning.store, "tuned", tuning.state, tuning.options);
    loop.start_from(
        Store::open(path_).open_checkpoint(Store::open(path_).find(parse_address("base@1"))));
    tuning.train(loop, 3);
    return digest(tuning.net);
  }();
  {
    Tuning tuning(path_);
    tuning.options.save_every_steps = 4;
    TrainingLoop loop(path_, "tuned", tuning.state, tuning.options);
    EXPECT_TRUE(loop.start_from("@production").parent.has_value());
    EXPECT_FALSE(loop.resume().from.has_value());
    EXPECT_THROW(tuning.train(loop, 3, end_in_the_middle), std::runtime_error);
  }
  Store::open(path_).remove_alias("production");
  Store::open(path_).remove_run("base");
  Tuning tuning(path_);
  TrainingLoop loop(path_, "tuned", tuning.state, tuning.options);
  const auto start = loop.start_from("@production");
  EXPECT_FALSE(start.parent.has_value());
  EXPECT_EQ(text_of(start), "tuned has checkpoints of its own: no other weights are taken\n");
  EXPECT_EQ(loop.resume().from->step, 8);
  tuning.train(loop, 3);
  EXPECT_EQ(digest(tuning.net), whole);
  EXPECT_EQ(record("tuned").parent->run_name, "base");
}

// Killed before its first checkpoint, it begins again as its record says.
TEST_F(FineTuning, BegunAgainItTakesTheParentOnRecord) {
  std::string first;
  {
    Tuning tuning(path_);
    TrainingLoop loop(path_, "tuned", tuning.state, tuning.options);
    loop.start_from("@production");
    loop.resume();
    first = digest(tuning.net);
  }
  Store store = Store::open(path_);
  store.promote(store.find(parse_address("base@3")), "production");
  Tuning tuning(path_);
  TrainingLoop loop(path_, "tuned", tuning.state, tuning.options);
  EXPECT_TRUE(contains(
      error_of(
          ErrorCode::mismatch,
          [&] { loop.start_from(store.open_checkpoint(store.find(parse_address("base@3")))); }),
      "tuned began with the weights of base@"));
  EXPECT_EQ(loop.start_from("@production").parent->epoch, 1);
  EXPECT_EQ(digest(tuning.net), first);
  EXPECT_FALSE(loop.resume().from.has_value());
  tuning.train(loop, 1);
}

TEST_F(FineTuning, ARunThatBeganWithoutAParentDoesNotGetOne) {
  {
    Training training(path_);
    TrainingLoop loop(path_, "empty", training.state, training.options);
    loop.resume();
    EXPECT_TRUE(
        contains(error_of(ErrorCode::invalid_argument, [&] { loop.start_from("@production"); }),
                 "start_from comes before resume"));
  }
  Training training(path_);
  TrainingLoop loop(path_, "empty", training.state, training.options);
  EXPECT_TRUE(contains(error_of(ErrorCode::already_exists, [&] { loop.start_from("@production"); }),
                       "ckptool rm"));
  EXPECT_FALSE(record("empty").parent.has_value());
}

TEST_F(FineTuning, WhatDoesNotFitMakesNoRun) {
  Tuning tuning(path_, /*classes=*/10);
  {
    TrainingLoop loop(path_, "tuned", tuning.state, tuning.options);
    EXPECT_TRUE(contains(error_of(ErrorCode::mismatch, [&] { loop.start_from("base@2"); }), "fc2"));
  }
  EXPECT_THROW(record("tuned"), Error);
}

TEST_F(FineTuning, FromAFile) {
  Training base(path_);
  libtorch::save_file(folder_ / "base.ckp", base.state);
  Tuning tuning(path_);
  {
    TrainingLoop loop(path_, "tuned", tuning.state, tuning.options);
    loop.start_from(open_file(folder_ / "base.ckp"));
    EXPECT_EQ(digest(tuning.net), digest(base.net));
    tuning.train(loop, 1);
  }
  const ParentCheckpoint parent = *record("tuned").parent;
  EXPECT_TRUE(parent.run.is_nil());
  EXPECT_EQ(parent.run_name, "base.ckp");
}

}  // namespace
}  // namespace ckp::test

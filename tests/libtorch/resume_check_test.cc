// The rehearsal of a resume: it must pass with the whole state, and name what is left out.
#include "ckp/libtorch/resume_check.h"

#include "ckp/libtorch/training_loop.h"
#include "small_net.h"

namespace ckp::test {
namespace {

using libtorch::ResumeCheck;
using libtorch::ResumeProof;
using libtorch::TrainingState;

struct Trainer {
  Trainer() {
    at::set_num_threads(1);
    torch::manual_seed(3);
    net = SmallNet();
    sgd = std::make_unique<torch::optim::SGD>(net->parameters(),
                                              torch::optim::SGDOptions(0.1).momentum(0.9));
  }
  double step() {
    sgd->zero_grad();
    torch::Tensor loss = net(at::randn({8, 5})).square().mean();
    loss.backward();
    sgd->step();
    ++steps;
    return loss.item<double>();
  }
  ResumeProof prove(const TrainingState& state, std::int64_t count) {
    ResumeCheck check(state, count);
    std::optional<ResumeProof> proof;
    while (!proof) {
      check.step({{"loss", step()}});
      proof = check.end_of_step();
    }
    return *proof;
  }

  SmallNet net{nullptr};
  std::unique_ptr<torch::optim::SGD> sgd;
  std::int64_t steps = 0;
};

TEST(ResumeCheck, TheWholeStateIsProven) {
  Trainer trainer, plain;
  auto state = TrainingState()
                   .model("model", trainer.net)
                   .optimizer("optimizer", *trainer.sgd)
                   .random_state("random");
  torch::manual_seed(4);
  const ResumeProof proof = trainer.prove(state, 3);
  EXPECT_TRUE(proof.proven) << proof.text();
  EXPECT_EQ(proof.text(), "resume proven over 3 steps");
  EXPECT_EQ(trainer.steps, 6);
  // Training stands where three steps would have brought it.
  torch::manual_seed(4);
  for (int i = 0; i < 3; ++i) plain.step();
  EXPECT_EQ(digest(trainer.net), digest(plain.net));
}

TEST(ResumeCheck, NamesTheFirstThatDiffers) {
  Trainer trainer;
  const ResumeProof no_random = trainer.prove(
      TrainingState().model("model", trainer.net).optimizer("optimizer", *trainer.sgd), 2);
  EXPECT_FALSE(no_random.proven);
  EXPECT_TRUE(no_random.difference.starts_with("model/fc1.")) << no_random.difference;
  EXPECT_TRUE(contains(no_random.text(), "resume NOT proven: model/fc1."));
  EXPECT_TRUE(contains(no_random.text(), " differs after 2 steps"));

  const ResumeProof no_optimizer =
      trainer.prove(TrainingState().model("model", trainer.net).random_state("random"), 2);
  EXPECT_TRUE(no_optimizer.difference.starts_with("model/fc1.")) << no_optimizer.difference;
}

TEST(ResumeCheck, NamesAValueOrALossWhenNoTensorDiffers) {
  Value counter = 0;
  ResumeCheck values(TrainingState().value("counter", counter), 1);
  counter = 1;
  EXPECT_FALSE(values.end_of_step());
  EXPECT_EQ(counter, Value(0));  // restored
  counter = 2;
  EXPECT_EQ(values.end_of_step()->difference, "counter");

  ResumeCheck losses(TrainingState().value("counter", counter), 2);
  std::optional<ResumeProof> proof;
  for (double loss : {1., 0., 1., -0.}) {
    losses.step({{"loss", loss}});
    proof = losses.end_of_step();
  }
  ASSERT_TRUE(proof);
  EXPECT_EQ(proof->difference, "loss of step 2");
}

TEST(ResumeCheck, MakesDoWithTheStepsThereAre) {
  Trainer trainer;
  auto state = TrainingState()
                   .model("model", trainer.net)
                   .optimizer("optimizer", *trainer.sgd)
                   .random_state("random");
  ResumeCheck check(state, 100);
  check.step({{"loss", trainer.step()}});
  EXPECT_TRUE(check.in_first_half());
  EXPECT_FALSE(check.end_of_step(/*last=*/true));
  EXPECT_FALSE(check.in_first_half());
  check.step({{"loss", trainer.step()}});
  EXPECT_EQ(check.end_of_step()->text(), "resume proven over 1 step");
}

struct InputsAndTargets {
  at::Tensor data, target;
};

// In the loop: the same two bodies, and afterwards the same training as without.
class CheckedLoop : public ::testing::Test {
 protected:
  // What was said, and the weights after two epochs of five steps.
  std::pair<std::string, std::string> train(std::int64_t check, bool with_sampler) {
    Trainer trainer;
    InputsAndTargets samples{at::randn({20, 5}), at::randn({20, 3})};
    libtorch::Sampler sampler(20, 4, 1);
    auto state = TrainingState()
                     .model("model", trainer.net)
                     .optimizer("optimizer", *trainer.sgd)
                     .random_state("random");
    if (with_sampler) state.part("sampler", sampler);
    std::string said;
    libtorch::LoopOptions options;
    options.say = [&](const std::string& line) { said += line + "\n"; };
    libtorch::TrainingLoop loop(folder_ / "store", "run-" + std::to_string(++runs_), state,
                                options);
    loop.resume();
    if (check > 0) loop.check_resume(check);
    for (auto& epoch : loop.epochs(2)) {
      for (auto& batch : epoch.batches(samples, sampler)) {
        trainer.sgd->zero_grad();
        torch::Tensor loss =
            torch::mse_loss(trainer.net(torch::dropout(batch.data, 0.5, true)), batch.target);
        loss.backward();
        trainer.sgd->step();
        loop.step({{"loss", loss.item<double>()}});
      }
    }
    if (with_sampler) {  // what is not rewound is gone
      EXPECT_EQ(loop.progress().step, 10);
      EXPECT_EQ(loop.progress().samples, 40);
    }
    EXPECT_EQ(loop.resume_proof().has_value(), check > 0);
    return {said, digest(trainer.net)};
  }

  TemporaryDirectory folder_;
  int runs_ = 0;
};

TEST_F(CheckedLoop, ProvesAndGoesOnAsIfItHadNot) {
  const auto plain = train(0, true), checked = train(2, true), long_check = train(99, true);
  EXPECT_EQ(plain.first, "");
  EXPECT_EQ(checked.first, "resume proven over 2 steps\n");
  EXPECT_EQ(long_check.first, "resume proven over 5 steps\n");  // the epoch's
  EXPECT_EQ(checked.second, plain.second);
  EXPECT_EQ(long_check.second, plain.second);
}

TEST_F(CheckedLoop, SeesThatTheDataPositionIsLeftOut) {
  EXPECT_TRUE(contains(train(2, false).first, "resume NOT proven: model/fc1."));
}

}  // namespace
}  // namespace ckp::test

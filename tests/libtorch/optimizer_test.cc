// Optimizers by parameter name: state and options bit for bit, and the same steps afterwards.
#include "ckp/state_digest.h"
#include "small_net.h"

namespace ckp::test {
namespace {

namespace optim = torch::optim;
using libtorch::TrainingState;
using OptimizerPointer = std::unique_ptr<optim::Optimizer>;

struct OptimizerCase {
  const char* name;
  // Weights in one group, biases in another. `other`: with other hyper-parameters.
  std::function<OptimizerPointer(SmallNet&, bool other)> make;
};

template <class TOptimizer, class TOptions>
OptimizerPointer two_groups(SmallNet& net, const TOptions& first, const TOptions& second) {
  std::vector<torch::Tensor> weights, biases;
  for (const auto& item : net->named_parameters()) {
    (item.key().ends_with("bias") ? biases : weights).push_back(item.value());
  }
  std::vector<optim::OptimizerParamGroup> groups;
  groups.emplace_back(weights, std::make_unique<TOptions>(first));
  groups.emplace_back(biases, std::make_unique<TOptions>(second));
  return std::make_unique<TOptimizer>(groups, first);
}

OptimizerPointer make_sgd(SmallNet& net, bool other) {
  if (other) return two_groups<optim::SGD>(net, optim::SGDOptions(0.5), optim::SGDOptions(0.4));
  return two_groups<optim::SGD>(
      net, optim::SGDOptions(0.05).momentum(0.9).nesterov(true),
      optim::SGDOptions(0.1).momentum(0.8).dampening(0.1).weight_decay(0.01));
}

OptimizerPointer make_adam(SmallNet& net, bool other) {
  if (other) return two_groups<optim::Adam>(net, optim::AdamOptions(0.5), optim::AdamOptions(0.4));
  return two_groups<optim::Adam>(net, optim::AdamOptions(0.01).amsgrad(true),
                                 optim::AdamOptions(0.02).betas({0.8, 0.95}).weight_decay(0.1));
}

OptimizerPointer make_adamw(SmallNet& net, bool other) {
  if (other) {
    return two_groups<optim::AdamW>(net, optim::AdamWOptions(0.5), optim::AdamWOptions(0.4));
  }
  return two_groups<optim::AdamW>(net, optim::AdamWOptions(0.01).eps(1e-7),
                                  optim::AdamWOptions(0.02).amsgrad(true).weight_decay(0.2));
}

OptimizerPointer make_rmsprop(SmallNet& net, bool other) {
  if (other) {
    return two_groups<optim::RMSprop>(net, optim::RMSpropOptions(0.5), optim::RMSpropOptions(0.4));
  }
  return two_groups<optim::RMSprop>(net, optim::RMSpropOptions(0.01).centered(true).momentum(0.9),
                                    optim::RMSpropOptions(0.02).alpha(0.9));
}

OptimizerPointer make_adagrad(SmallNet& net, bool other) {
  if (other) {
    return two_groups<optim::Adagrad>(net, optim::AdagradOptions(0.5), optim::AdagradOptions(0.4));
  }
  return two_groups<optim::Adagrad>(
      net, optim::AdagradOptions(0.01).lr_decay(0.1),
      optim::AdagradOptions(0.02).initial_accumulator_value(0.5).weight_decay(0.1));
}

class EveryOptimizer : public ::testing::TestWithParam<OptimizerCase> {
 protected:
  static TrainingState state_of(SmallNet& net, optim::Optimizer& optimizer) {
    return TrainingState().model("model", net).optimizer("optimizer", optimizer);
  }
  // What a checkpoint of this state holds: a digest of its tensors.
  std::string saved_digest(const TrainingState& state) {
    libtorch::save_file(folder_ / "compare.ckp", state);
    return state_digest(open_file(folder_ / "compare.ckp")).total.hex();
  }
  TemporaryDirectory folder_;
};

TEST_P(EveryOptimizer, RestoredIntoAnotherOrderItTakesTheSameSteps) {
  SmallNet net;
  OptimizerPointer optimizer = GetParam().make(net, false);
  TrainingState state = state_of(net, *optimizer);
  train(net, *optimizer, 0, 4);
  libtorch::save_file(folder_ / "a.ckp", state);
  const std::string saved = saved_digest(state);

  SmallNet other(/*reversed=*/true);
  OptimizerPointer other_optimizer = GetParam().make(other, true);
  train(other, *other_optimizer, 90, 2);  // its own state, which must go
  TrainingState other_state = state_of(other, *other_optimizer);
  libtorch::load_file(folder_ / "a.ckp", other_state);
  EXPECT_EQ(saved_digest(other_state), saved);
  for (std::size_t g = 0; g < 2; ++g) {
    EXPECT_EQ(other_optimizer->param_groups()[g].options().get_lr(),
              optimizer->param_groups()[g].options().get_lr());
  }

  train(net, *optimizer, 4, 3);
  train(other, *other_optimizer, 4, 3);
  EXPECT_EQ(digest(other), digest(net));
  EXPECT_EQ(saved_digest(other_state), saved_digest(state));
}

TEST_P(EveryOptimizer, AFreshStateReplacesAnOldOne) {
  SmallNet net;
  OptimizerPointer optimizer = GetParam().make(net, false);
  libtorch::save_file(folder_ / "fresh.ckp", state_of(net, *optimizer));
  train(net, *optimizer, 0, 2);
  libtorch::load_file(folder_ / "fresh.ckp", state_of(net, *optimizer));

  SmallNet twin;
  OptimizerPointer twin_optimizer = GetParam().make(twin, false);
  libtorch::load_file(folder_ / "fresh.ckp", state_of(twin, *twin_optimizer));
  train(net, *optimizer, 5, 2);
  train(twin, *twin_optimizer, 5, 2);
  EXPECT_EQ(digest(net), digest(twin));
}

INSTANTIATE_TEST_SUITE_P(All, EveryOptimizer,
                         ::testing::Values(OptimizerCase{"SGD", make_sgd},
                                           OptimizerCase{"Adam", make_adam},
                                           OptimizerCase{"AdamW", make_adamw},
                                           OptimizerCase{"RMSprop", make_rmsprop},
                                           OptimizerCase{"Adagrad", make_adagrad}),
                         [](const auto& tested) { return std::string(tested.param.name); });

class Optimizer : public ::testing::Test {
 protected:
  // Loads into `net` and `optimizer`, which must fail and change nothing.
  std::string refuse(SmallNet& net, optim::Optimizer& optimizer) {
    auto state = TrainingState().model("model", net).optimizer("optimizer", optimizer);
    const std::string before = digest(net);
    const double lr = optimizer.param_groups()[0].options().get_lr();
    std::string message = error_of(ErrorCode::mismatch, [&] { libtorch::load_file(file_, state); });
    EXPECT_EQ(digest(net), before);
    EXPECT_EQ(optimizer.param_groups()[0].options().get_lr(), lr);
    EXPECT_TRUE(contains(message, "nothing was changed"));
    return message;
  }

  void save_adamw() {
    SmallNet net;
    optim::AdamW optimizer(net->parameters(), optim::AdamWOptions(0.125));
    train(net, optimizer, 0, 1);
    libtorch::save_file(file_,
                        TrainingState().model("model", net).optimizer("optimizer", optimizer));
  }

  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "a.ckp";
};

TEST_F(Optimizer, AnotherKindIsRefused) {
  save_adamw();
  SmallNet net;
  optim::SGD sgd(net->parameters(), 0.1);
  EXPECT_TRUE(contains(refuse(net, sgd), "optimizer: SGD here, AdamW in the checkpoint"));
}

TEST_F(Optimizer, AnotherNumberOfGroupsIsRefused) {
  save_adamw();
  SmallNet net;
  OptimizerPointer adamw = make_adamw(net, true);
  EXPECT_TRUE(
      contains(refuse(net, *adamw), "optimizer: parameter groups: 2 here, 1 in the checkpoint"));
}

TEST_F(Optimizer, OtherMembersOfAGroupAreNamed) {
  save_adamw();
  SmallNet net;
  optim::AdamW adamw(net->fc1->parameters(), optim::AdamWOptions(0.1));
  std::string message = refuse(net, adamw);
  EXPECT_TRUE(contains(message,
                       "optimizer: group 0: lacks fc2.weight, which this group has in "
                       "the checkpoint"));
}

TEST_F(Optimizer, AStateOfAnotherShapeIsRefusedWithTheModelUntouched) {
  save_adamw();
  SmallNet net(false, 9);
  optim::AdamW adamw(net->parameters(), optim::AdamWOptions(0.1));
  std::string message = refuse(net, adamw);
  EXPECT_TRUE(contains(message, "model/fc1.weight: the model has shape [9, 5] float32"));
  EXPECT_TRUE(contains(message, "optimizer/fc1.weight/exp_avg"));
}

TEST_F(Optimizer, AParameterOfNoModelIsAnError) {
  SmallNet net, unregistered;
  optim::SGD sgd(unregistered->parameters(), 0.1);
  auto state = TrainingState().model("model", net).optimizer("optimizer", sgd);
  std::string message = error_of(ErrorCode::invalid_argument, [&] { state.state_dict(); });
  EXPECT_TRUE(contains(message,
                       "optimizer: parameter 0 of group 0 (shape [7, 5] float32) belongs "
                       "to no model of the training state"));
}

// As in a GAN: each model has its own optimizer, and the steps alternate.
TEST_F(Optimizer, TwoModelsWithTwoOptimizersGoOn) {
  struct Pair {
    SmallNet generator, critic{true};
    optim::Adam first{generator->parameters(), optim::AdamOptions(0.1)};
    optim::RMSprop second{critic->parameters(), optim::RMSpropOptions(0.01)};
    TrainingState state = TrainingState()
                              .model("generator", generator)
                              .model("critic", critic)
                              .optimizer("generator_optimizer", first)
                              .optimizer("critic_optimizer", second);
    void train_both(int begin, int count) {
      for (int step = begin; step < begin + count; ++step) {
        train(critic, second, step, 1);
        train(generator, first, 100 + step, 1);
      }
    }
  };
  Pair whole, resumed;
  whole.train_both(0, 3);
  libtorch::save_file(file_, whole.state);
  whole.train_both(3, 3);
  libtorch::load_file(file_, resumed.state);
  resumed.train_both(3, 3);
  EXPECT_EQ(digest(resumed.generator), digest(whole.generator));
  EXPECT_EQ(digest(resumed.critic), digest(whole.critic));
}

TEST_F(Optimizer, ParametersOfSeveralModelsCarryTheModelsName) {
  SmallNet encoder, decoder;
  auto parameters = encoder->parameters();
  for (auto& parameter : decoder->parameters()) parameters.push_back(parameter);
  optim::Adam adam(parameters, optim::AdamOptions(0.1));
  train(encoder, adam, 0, 1);  // the decoder's parameters have no gradient, hence no state
  auto state =
      TrainingState().model("encoder", encoder).model("decoder", decoder).optimizer("adam", adam);
  StateDict saved = state.state_dict();
  EXPECT_TRUE(saved.tensors().contains("adam/encoder/fc1.weight/exp_avg"));
  EXPECT_FALSE(saved.tensors().contains("adam/decoder/fc1.weight/exp_avg"));
  libtorch::save_file(file_, state);
  libtorch::load_file(file_, state);
}

}  // namespace
}  // namespace ckp::test

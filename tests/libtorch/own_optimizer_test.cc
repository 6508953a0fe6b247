// LBFGS, whose one state covers all parameters, and an optimizer of the user's own.
#include "ckp/libtorch/optimizer_kind.h"
#include "ckp/state_digest.h"
#include "small_net.h"

namespace ckp::test {
namespace {

namespace optim = torch::optim;
using namespace libtorch;

class OwnOptimizer : public ::testing::Test {
 protected:
  std::string saved_digest(const TrainingState& state) {
    save_file(folder_ / "compare.ckp", state);
    return state_digest(open_file(folder_ / "compare.ckp")).total.hex();
  }
  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "a.ckp";
};

optim::LBFGSOptions options(const char* line_search) {
  optim::LBFGSOptions options(0.5);
  options.max_iter(4).history_size(5);
  if (line_search != nullptr) options.line_search_fn(std::string(line_search));
  return options;
}

void train_lbfgs(SmallNet& net, optim::LBFGS& optimizer, int first, int count) {
  for (int step = first; step < first + count; ++step) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<std::uint64_t>(step));
    const auto x = at::randn({8, 5}, generator, at::TensorOptions(at::kFloat));
    optimizer.step([&] {
      optimizer.zero_grad();
      auto loss = net(x).square().mean();
      loss.backward();
      return loss;
    });
  }
}

TEST_F(OwnOptimizer, LbfgsGoesOnWhereItWasAndOnlyIfItIsInTheState) {
  auto state = [](SmallNet& net, optim::Optimizer& optimizer) {
    return TrainingState().model("model", net).optimizer("optimizer", optimizer);
  };
  for (const char* line_search : {static_cast<const char*>(nullptr), "strong_wolfe"}) {
    SmallNet net;
    optim::LBFGS optimizer(net->parameters(), options(line_search));
    train_lbfgs(net, optimizer, 0, 3);
    save_file(file_, state(net, optimizer));
    train_lbfgs(net, optimizer, 3, 3);

    SmallNet resumed;
    optim::LBFGS fresh(resumed->parameters(), optim::LBFGSOptions(1));
    train_lbfgs(resumed, fresh, 70, 1);
    load_file(file_, state(resumed, fresh));
    train_lbfgs(resumed, fresh, 3, 3);
    EXPECT_EQ(digest(resumed), digest(net));
    EXPECT_EQ(saved_digest(state(resumed, fresh)), saved_digest(state(net, optimizer)));

    optim::LBFGS forgotten(resumed->parameters(), options(line_search));
    load_file(file_, TrainingState().model("model", resumed));
    train_lbfgs(resumed, forgotten, 3, 3);
    EXPECT_NE(digest(resumed), digest(net)) << "this test proves nothing";
  }
}

TEST_F(OwnOptimizer, LbfgsInAnotherOrderIsRefused) {
  SmallNet net, reversed(true);
  optim::LBFGS saved(net->parameters(), options(nullptr));
  optim::LBFGS loaded(reversed->parameters(), options(nullptr));
  train_lbfgs(net, saved, 0, 1);
  save_file(file_, TrainingState().model("model", net).optimizer("optimizer", saved));
  const std::string before = digest(reversed);
  std::string message = error_of(ErrorCode::mismatch, [&] {
    load_file(file_, TrainingState().model("model", reversed).optimizer("optimizer", loaded));
  });
  EXPECT_TRUE(contains(message, "fc2.weight stands here where the checkpoint has fc1.weight"));
  EXPECT_EQ(digest(reversed), before);
}

// The sign of the gradient with momentum (Lion without weight decay, arXiv:2302.06675).
struct LionOptions : optim::OptimizerCloneableOptions<LionOptions> {
  explicit LionOptions(double rate = 1e-3) : lr(rate) {}
  double get_lr() const override { return lr; }
  void set_lr(const double rate) override { lr = rate; }
  double lr;
};
struct LionState : optim::OptimizerCloneableParamState<LionState> {
  at::Tensor momentum;
  std::int64_t steps = 0;
};
class Lion : public optim::Optimizer {
 public:
  Lion(std::vector<torch::Tensor> parameters, double lr)
      : Optimizer({optim::OptimizerParamGroup(std::move(parameters))},
                  std::make_unique<LionOptions>(lr)) {}
  torch::Tensor step(LossClosure = nullptr) override {
    at::NoGradGuard no_grad;
    for (auto& group : param_groups_) {
      const double lr = group.options().get_lr();
      for (auto& parameter : group.params()) {
        if (!parameter.grad().defined()) continue;
        LionState& state = state_for(parameter);
        parameter.sub_((state.momentum * 0.9 + parameter.grad() * 0.1).sign() * lr);
        state.momentum.mul_(0.99).add_(parameter.grad(), 0.01);
        ++state.steps;
      }
    }
    return {};
  }

 private:
  LionState& state_for(const torch::Tensor& parameter);
};

// LibTorch 1 has the state under the text of the parameter's address, LibTorch 2 under the address.
template <class States>
auto key_of(const States&, const torch::Tensor& parameter) {
  if constexpr (std::is_same_v<typename States::key_type, std::string>) {
    return c10::str(parameter.unsafeGetTensorImpl());
  } else {
    return static_cast<typename States::key_type>(parameter.unsafeGetTensorImpl());
  }
}

LionState& Lion::state_for(const torch::Tensor& parameter) {
  auto& state = state_[key_of(state_, parameter)];
  if (state == nullptr) {
    auto fresh = std::make_unique<LionState>();
    fresh->momentum = at::zeros_like(parameter);
    state = std::move(fresh);
  }
  return static_cast<LionState&>(*state);
}

class LionKind : public OptimizerKind {
 public:
  std::string_view name() const override { return "Lion"; }
  Value::Map save_options(const Options& options) const override {
    return {{"lr", static_cast<const LionOptions&>(options).lr}};
  }
  std::function<void()> check_options(const Value& stored, const std::string& where,
                                      Options& options) const override {
    const Value* lr = stored.find("lr");
    if (lr == nullptr) throw Error(ErrorCode::mismatch, where + ": no lr");
    return [&options, rate = lr->as_double()] { options.set_lr(rate); };
  }
  Value::Map save_state(const State& state, const std::string& parameter,
                        PartWriter& out) const override {
    const auto& lion = static_cast<const LionState&>(state);
    out.tensor(parameter + "/momentum", lion.momentum);
    return {{"steps", lion.steps}};
  }
  std::unique_ptr<State> check_state(const Value& stored, const std::string& parameter,
                                     const at::Tensor& like, PartReader& in) const override {
    auto state = std::make_unique<LionState>();
    state->momentum = in.new_tensor(parameter + "/momentum", like.device());
    state->steps = stored.find("steps")->as_int();
    return state;
  }
};

TEST_F(OwnOptimizer, OfTheUser) {
  auto state = [](SmallNet& net, optim::Optimizer& optimizer) {
    return TrainingState()
        .model("model", net)
        .optimizer("optimizer", optimizer, std::make_shared<LionKind>());
  };
  SmallNet net;
  Lion lion(net->parameters(), 0.01);
  train(net, lion, 0, 3);
  save_file(file_, state(net, lion));
  train(net, lion, 3, 3);

  SmallNet resumed(/*reversed=*/true);
  Lion fresh(resumed->parameters(), 0.5);
  load_file(file_, state(resumed, fresh));
  train(resumed, fresh, 3, 3);
  EXPECT_EQ(digest(resumed), digest(net));
  EXPECT_EQ(saved_digest(state(resumed, fresh)), saved_digest(state(net, lion)));

  Lion forgotten(resumed->parameters(), 0.01);
  load_file(file_, TrainingState().model("model", resumed));
  train(resumed, forgotten, 3, 3);
  EXPECT_NE(digest(resumed), digest(net)) << "this test proves nothing";
}

TEST_F(OwnOptimizer, AnUnknownKindIsAnError) {
  SmallNet net;
  Lion lion(net->parameters(), 0.1);
  auto state = TrainingState().model("model", net).optimizer("optimizer", lion);
  std::string message = error_of(ErrorCode::unsupported, [&] { state.state_dict(); });
  EXPECT_TRUE(contains(message, "optimizer: only SGD, Adam, AdamW, RMSprop, Adagrad and LBFGS"));
  EXPECT_TRUE(contains(message, "OptimizerKind"));
}

}  // namespace
}  // namespace ckp::test

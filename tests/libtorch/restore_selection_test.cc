// Restoring a part of a state: by pattern, under other names, into a larger model; and fine-tuning.
#include "ckp/libtorch/ema.h"
#include "ckp/libtorch/tensor.h"
#include "small_net.h"

namespace ckp::test {
namespace {

namespace optim = torch::optim;
using namespace libtorch;

// SmallNet's layers under another prefix and with more behind them.
struct LargerImpl : torch::nn::Module {
  explicit LargerImpl(std::int64_t classes = 3)
      : encoder(5, 7), norm(7), fc2(7, classes), extra(2, 2) {
    register_module("encoder", encoder);
    register_module("norm", norm);
    register_module("fc2", fc2);
    register_module("extra", extra);
  }
  torch::Tensor forward(torch::Tensor x) { return fc2(torch::relu(norm(encoder(x)))); }
  torch::nn::Linear encoder;
  torch::nn::BatchNorm1d norm;
  torch::nn::Linear fc2, extra;
};
TORCH_MODULE(Larger);

RestoreOptions partly(RestoreSelection select, bool strict = true) {
  return {.strict = strict, .load = {}, .select = std::move(select)};
}

class Selection : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::manual_seed(1);
    train(net_, adam_, 0, 3);
    ema_.update();
    train(net_, adam_, 3, 2);
    ema_.update();
    save_file(file_,
              TrainingState().model("model", net_).optimizer("optimizer", adam_).part("ema", ema_));
    saved_ = read_tensors(open_file(file_));
  }
  const at::Tensor& saved(const std::string& name) const { return saved_.at(name); }
  RestoreReport load(const TrainingState& state, const RestoreOptions& options) {
    return load_file(file_, state, options);
  }

  SmallNet net_;
  optim::AdamW adam_{net_->parameters(), optim::AdamWOptions(0.01)};
  Ema ema_{net_, 0.9};
  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "a.ckp";
  std::map<std::string, at::Tensor> saved_;
};

TEST_F(Selection, ExcludedTensorsStayAsTheyAreAndMayHaveAnyShape) {
  SmallNet other;
  other->fc2 = other->replace_module("fc2", torch::nn::Linear(7, 10));
  optim::AdamW adam(other->parameters(), optim::AdamWOptions(0.5));
  Ema ema(other, 0.9);
  auto state = TrainingState().model("model", other).optimizer("optimizer", adam).part("ema", ema);
  const at::Tensor head = other->fc2->weight.detach().clone();
  std::string message = error_of(ErrorCode::mismatch, [&] { load(state, {}); });
  EXPECT_TRUE(contains(message, "model/fc2.weight: the model has shape [10, 7] float32"));

  RestoreReport report = load(state, partly({.exclude = {"*/fc2.*"}}));
  EXPECT_TRUE(at::equal(other->fc1->weight, saved("model/fc1.weight")));
  EXPECT_TRUE(at::equal(other->fc2->weight, head));
  EXPECT_TRUE(contains(::testing::PrintToString(report.ignored), "optimizer/fc2.bias/exp_avg"));
  train(other, adam, 9, 1);  // the new head's state begins anew
}

TEST_F(Selection, OnlyIncludedTensorsAreRestored) {
  SmallNet other;
  const at::Tensor head = other->fc2->weight.detach().clone();
  load(TrainingState().model("model", other), partly({.include = {"model/fc1.*"}}));
  EXPECT_TRUE(at::equal(other->fc1->weight, saved("model/fc1.weight")));
  EXPECT_TRUE(at::equal(other->fc2->weight, head));
}

TEST_F(Selection, RenamesGoThroughModelOptimizerAndAveragesAndALargerModelKeepsWhatIsNew) {
  Larger larger;
  optim::AdamW adam(larger->parameters(), optim::AdamWOptions(0.5));
  Ema ema(larger, 0.5);
  auto state = TrainingState().model("model", larger).optimizer("optimizer", adam).part("ema", ema);
  const at::Tensor extra = larger->extra->weight.detach().clone();
  RestoreReport report = load(state, partly({.rename = {{"fc1.", "encoder."}}}, false));
  EXPECT_TRUE(at::equal(larger->encoder->weight, saved("model/fc1.weight")));
  EXPECT_TRUE(at::equal(larger->extra->weight, extra));
  EXPECT_TRUE(report.ignored.empty()) << report;
  const std::string missing = ::testing::PrintToString(report.missing);
  for (const char* name : {"model/extra.weight", "optimizer/extra.weight", "ema/extra.weight"}) {
    EXPECT_TRUE(contains(missing, name));
  }
  EXPECT_EQ(adam.param_groups()[0].options().get_lr(), 0.01);
  // The same steps as the smaller model takes.
  auto step = [](auto& net, optim::Optimizer& optimizer, Ema& averages) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{77});
    auto x = at::randn({8, 5}, generator, at::TensorOptions(at::kFloat));
    optimizer.zero_grad();
    net(x).square().mean().backward();
    optimizer.step();
    averages.update();
    auto shadow = averages.weights();
    return net->fc2->weight.detach().clone();
  };
  EXPECT_TRUE(at::equal(step(larger, adam, ema), step(net_, adam_, ema_)));
  EXPECT_TRUE(at::equal(larger->encoder->weight, net_->fc1->weight));
}

TEST_F(Selection, FrozenLayersComeBackAsTheyWere) {
  net_->fc1->weight.set_requires_grad(false);
  save_file(file_, TrainingState().model("model", net_));
  SmallNet other, program;
  other->fc2->weight.set_requires_grad(false);
  load_file(file_, TrainingState().model("model", other));
  EXPECT_FALSE(other->fc1->weight.requires_grad());
  EXPECT_TRUE(other->fc2->weight.requires_grad());
  load_file(file_, TrainingState().model("model", program, {.requires_grad = false}));
  EXPECT_TRUE(program->fc1->weight.requires_grad());
  load_file(file_, *program);
  EXPECT_TRUE(program->fc1->weight.requires_grad());
}

TEST_F(Selection, TrainingFlagsComeBackIfAskedFor) {
  const ModelOptions flags{.training = true};
  net_->norm->eval();
  save_file(file_, TrainingState().model("model", net_, flags));
  SmallNet other, without;
  other->eval();
  load_file(file_, TrainingState().model("model", other, flags));
  EXPECT_TRUE(other->is_training());
  EXPECT_TRUE(other->fc1->is_training());
  EXPECT_FALSE(other->norm->is_training());
  load_file(file_, TrainingState().model("model", without));
  EXPECT_TRUE(without->norm->is_training());
  save_file(file_, TrainingState().model("model", net_));
  EXPECT_TRUE(
      contains(error_of(ErrorCode::mismatch,
                        [&] { load_file(file_, TrainingState().model("model", other, flags)); }),
               "model/training: the checkpoint has no flags"));
}

TEST_F(Selection, StartFromTakesTheWeightsAndNothingElse) {
  SmallNet other;
  optim::AdamW adam(other->parameters(), optim::AdamWOptions(0.5));
  auto state = TrainingState().model("student", other).optimizer("optimizer", adam);
  RestoreReport report = state.start_from(open_file(file_));
  EXPECT_EQ(digest(other), digest(net_));
  EXPECT_EQ(adam.param_groups()[0].options().get_lr(), 0.5);
  EXPECT_TRUE(adam.state().empty());
  EXPECT_EQ(report.restored.size(), 9u);
  EXPECT_TRUE(contains(::testing::PrintToString(report.ignored), "optimizer/fc1.bias/exp_avg"));
}

TEST_F(Selection, StartFromTheAverages) {
  SmallNet other;
  TrainingState().model("model", other).start_from(open_file(file_), {.part = "ema"});
  EXPECT_TRUE(at::equal(other->fc1->weight, saved("ema/fc1.weight")));
  EXPECT_TRUE(at::equal(other->norm->running_mean, saved("model/norm.running_mean")));
  auto shadow = ema_.weights();
  EXPECT_EQ(digest(other), digest(net_));
}

TEST_F(Selection, StartFromWithANewHead) {
  Larger larger(/*classes=*/10);
  auto state = TrainingState().model("model", larger);
  const at::Tensor head = larger->fc2->weight.detach().clone();
  StartOptions options{.select = {.rename = {{"fc1.", "encoder."}}}};
  std::string message =
      error_of(ErrorCode::mismatch, [&] { state.start_from(open_file(file_), options); });
  EXPECT_TRUE(contains(message,
                       "model/fc2.weight: the model has shape [10, 7] float32, the "
                       "checkpoint has shape [3, 7] float32"));
  EXPECT_TRUE(contains(message, "model/extra.weight: not in the checkpoint"));
  EXPECT_TRUE(contains(message, "nothing was changed"));
  options.select.exclude = {"model/fc2.*", "model/extra.*"};
  state.start_from(open_file(file_), options);
  EXPECT_TRUE(at::equal(larger->encoder->weight, saved("model/fc1.weight")));
  EXPECT_TRUE(at::equal(larger->fc2->weight, head));
}

TEST_F(Selection, StartFromNeedsOneModelAndAPartThatIsThere) {
  SmallNet a, b;
  auto start = [&](ErrorCode code, const TrainingState& state, const StartOptions& options) {
    return error_of(code, [&] { state.start_from(open_file(file_), options); });
  };
  EXPECT_TRUE(contains(start(ErrorCode::invalid_argument, TrainingState(), {}), "has no model"));
  auto two = TrainingState().model("a", a).model("b", b);
  EXPECT_TRUE(contains(start(ErrorCode::invalid_argument, two, {}), "several models"));
  EXPECT_TRUE(contains(start(ErrorCode::mismatch, two, {.part = "teacher", .model = "a"}),
                       "teacher: the checkpoint has no such part; it has: ema, model, optimizer"));
  two.start_from(open_file(file_), {.model = "b"});
  EXPECT_EQ(digest(b), digest(net_));
}

}  // namespace
}  // namespace ckp::test

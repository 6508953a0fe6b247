// The gradient scaler against PyTorch's numbers (golden/training_parts.py), across a resume, with
// two optimizers; and Autocast.
#include "ckp/libtorch/grad_scaler.h"

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "ckp/libtorch/autocast.h"
#include "small_net.h"

namespace ckp::test {
namespace {

using namespace libtorch;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

GradScalerOptions quick() {
  GradScalerOptions options;
  options.init_scale = 1024;
  options.growth_interval = 20;
  return options;
}

// One weight of two elements and its optimizer.
struct Weight {
  torch::Tensor tensor = torch::ones({2}, torch::requires_grad());
  torch::optim::SGD optimizer{{tensor}, 1e-3};
  void backward(GradScaler& scaler, double factor) {
    optimizer.zero_grad();
    scaler.scale((tensor * factor).sum()).backward();
  }
};

TEST(GradScaler, ScalesAreThoseOfPyTorch) {
  std::ifstream file(CKP_SOURCE_DIR "/tests/libtorch/golden/training_parts.json");
  const auto golden = nlohmann::json::parse(file).at("grad_scaler");
  Weight weight;
  GradScaler scaler(quick());
  for (std::size_t t = 0; t < 1000; ++t) {
    const bool infinite = t % 97 == 13;
    weight.backward(scaler, infinite ? kInfinity : 1.0);
    EXPECT_EQ(scaler.step(weight.optimizer), !infinite) << t;
    scaler.update();
    ASSERT_EQ(scaler.get_scale(), golden.at("scale")[t].get<double>()) << t;
    ASSERT_EQ(scaler.growth_tracker(), golden.at("_growth_tracker")[t].get<std::int64_t>()) << t;
  }
}

// Every ninth step's loss is too large to be scaled.
void steps(SmallNet& net, torch::optim::Optimizer& optimizer, GradScaler& scaler, int first,
           int count) {
  for (int t = first; t < first + count; ++t) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<std::uint64_t>(t));
    auto x = at::randn({8, 5}, generator, at::TensorOptions(at::kFloat));
    optimizer.zero_grad();
    scaler.scale(net(x).square().mean() * (t % 9 == 8 ? 1e38 : 1.0)).backward();
    scaler.step(optimizer);
    scaler.update();
  }
}

TEST(GradScaler, GoesOnWhereItWasAndOnlyIfItIsInTheState) {
  TemporaryDirectory folder;
  GradScalerOptions options;
  options.growth_interval = 5;
  SmallNet net;
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  GradScaler scaler(options);
  auto state = [](SmallNet& n, auto& o) {
    return TrainingState().model("model", n).optimizer("optimizer", o);
  };
  steps(net, optimizer, scaler, 0, 13);  // in the middle of growing
  ASSERT_NE(scaler.growth_tracker(), 0);
  save_file(folder / "a.ckp", state(net, optimizer).part("grad_scaler", scaler));
  steps(net, optimizer, scaler, 13, 9);

  SmallNet resumed;
  torch::optim::SGD fresh(resumed->parameters(), 0.2);
  GradScaler loaded;  // other options, and a scale of its own already
  steps(resumed, fresh, loaded, 50, 2);
  load_file(folder / "a.ckp", state(resumed, fresh).part("grad_scaler", loaded));
  steps(resumed, fresh, loaded, 13, 9);
  EXPECT_EQ(digest(resumed), digest(net));
  EXPECT_EQ(loaded.get_scale(), scaler.get_scale());
  EXPECT_EQ(loaded.growth_tracker(), scaler.growth_tracker());

  GradScaler forgotten(options);
  load_file(folder / "a.ckp", state(resumed, fresh));
  steps(resumed, fresh, forgotten, 13, 9);
  EXPECT_NE(forgotten.get_scale(), scaler.get_scale()) << "this test proves nothing";
}

TEST(GradScaler, OneForTwoOptimizers) {
  Weight first, second;
  GradScaler scaler(quick());
  first.backward(scaler, 1.0);
  second.backward(scaler, kInfinity);
  EXPECT_TRUE(scaler.step(first.optimizer));
  EXPECT_FALSE(scaler.step(second.optimizer));
  scaler.update();
  EXPECT_EQ(scaler.get_scale(), 512);
  EXPECT_EQ(first.tensor[0].item<float>(), 1 - 1e-3f);
  EXPECT_EQ(second.tensor[0].item<float>(), 1);
}

TEST(GradScaler, UnscaleGivesTheTrueGradients) {
  Weight weight;
  GradScaler scaler(quick());
  weight.backward(scaler, 3.0);
  EXPECT_EQ(weight.tensor.grad()[0].item<float>(), 3 * 1024);
  scaler.unscale_(weight.optimizer);
  EXPECT_EQ(weight.tensor.grad()[0].item<float>(), 3);
  scaler.step(weight.optimizer);
  EXPECT_EQ(weight.tensor.grad()[0].item<float>(), 3);
}

TEST(GradScaler, CallsOutOfOrderAreErrors) {
  Weight weight;
  GradScaler scaler(quick());
  auto refuse = [](const std::function<void()>& action) {
    return error_of(ErrorCode::invalid_argument, action);
  };
  EXPECT_TRUE(contains(refuse([&] { scaler.step(weight.optimizer); }), "before the first scale"));
  weight.backward(scaler, 1.0);
  EXPECT_TRUE(contains(refuse([&] { scaler.update(); }), "without a step()"));
  scaler.unscale_(weight.optimizer);
  EXPECT_TRUE(contains(refuse([&] { scaler.unscale_(weight.optimizer); }), "unscale_() twice"));
  scaler.step(weight.optimizer);
  EXPECT_TRUE(contains(refuse([&] { scaler.step(weight.optimizer); }), "step() twice"));
  scaler.update(256);
  EXPECT_EQ(scaler.get_scale(), 256);
  GradScalerOptions shrinking;
  shrinking.growth_factor = 1;
  EXPECT_TRUE(contains(refuse([&] { GradScaler{shrinking}; }), "growth_factor is 1"));
}

TEST(GradScaler, Off) {
  TemporaryDirectory folder;
  GradScalerOptions off;
  off.enabled = false;
  GradScaler disabled(off), enabled(quick());
  Weight weight;
  weight.backward(disabled, 1.0);
  EXPECT_TRUE(disabled.step(weight.optimizer));
  disabled.update();
  EXPECT_EQ(disabled.get_scale(), 1);
  save_file(folder / "off.ckp", TrainingState().part("grad_scaler", disabled));
  std::string message = error_of(ErrorCode::mismatch, [&] {
    load_file(folder / "off.ckp", TrainingState().part("grad_scaler", enabled));
  });
  EXPECT_TRUE(contains(message, "grad_scaler: on here, but saved from one that was off"));
  save_file(folder / "on.ckp", TrainingState().part("grad_scaler", enabled));
  load_file(folder / "on.ckp", TrainingState().part("grad_scaler", disabled));
  EXPECT_EQ(disabled.get_scale(), 1);
}

TEST(Autocast, IsForItsScope) {
  const at::Device cpu(at::kCPU);
  auto a = at::ones({4, 4}), b = at::ones({4, 4});
  auto type = [&] { return at::mm(a, b).scalar_type(); };
  EXPECT_EQ(type(), at::kFloat);
  {
    Autocast half(cpu);
    EXPECT_EQ(type(), at::kBFloat16);
    {
      Autocast off(cpu, false);
      EXPECT_EQ(type(), at::kFloat);
    }
    EXPECT_EQ(type(), at::kBFloat16);
  }
  EXPECT_EQ(type(), at::kFloat);
  error_of(ErrorCode::unsupported, [] { Autocast meta(at::Device(at::kMeta)); });
}

}  // namespace
}  // namespace ckp::test

// Averaged weights: the arithmetic, the swapping, and both across a save.
#include "ckp/libtorch/ema.h"

#include "ckp/libtorch/tensor.h"
#include "small_net.h"

namespace ckp::test {
namespace {

using namespace libtorch;

class EmaTest : public ::testing::Test {
 protected:
  void train_on(SmallNet& net, torch::optim::Optimizer& optimizer, Ema& ema, int first, int count) {
    for (int step = first; step < first + count; ++step) {
      train(net, optimizer, step, 1);
      ema.update();
    }
  }
  static std::string averaged(const SmallNet& net, Ema& ema, std::size_t which = 0) {
    auto shadow = ema.weights(which);
    return digest(net);
  }
  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "state.ckp";
};

TEST_F(EmaTest, IsTheFormula) {
  torch::nn::Linear net(torch::nn::LinearOptions(1, 1).bias(false));
  torch::NoGradGuard no_grad;
  Ema ema(net, 0.75);
  double expected = 0;
  for (int i = 0; i < 5; ++i) {
    net->weight.fill_(1 << i);
    ema.update();
    expected = i == 0 ? 1 : expected + 0.25 * ((1 << i) - expected);
  }
  EXPECT_EQ(ema.updates(), 5);
  auto shadow = ema.weights();
  EXPECT_FLOAT_EQ(net->weight.item<float>(), static_cast<float>(expected));
}

TEST_F(EmaTest, TheWeightsComeBackBitForBit) {
  SmallNet net;
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  Ema ema(net, 0.9);
  train_on(net, optimizer, ema, 0, 3);
  const std::string raw = digest(net), average = averaged(net, ema);
  EXPECT_NE(raw, average);
  EXPECT_EQ(digest(net), raw);
  EXPECT_EQ(averaged(net, ema), average);
}

TEST_F(EmaTest, ASaveWhileTheyAreSwappedInWritesTheWeightsAsTheModel) {
  SmallNet net;
  torch::optim::AdamW optimizer(net->parameters(), 0.1);
  Ema ema(net, 0.9);
  train_on(net, optimizer, ema, 0, 3);
  auto state =
      TrainingState().model("model", net).optimizer("optimizer", optimizer).part("ema", ema);
  save_file(folder_ / "plain.ckp", state);
  {
    auto shadow = ema.weights();
    save_file(folder_ / "swapped.ckp", state);
  }
  auto plain = read_tensors(open_file(folder_ / "plain.ckp"));
  auto swapped = read_tensors(open_file(folder_ / "swapped.ckp"));
  ASSERT_EQ(plain.size(), swapped.size());
  for (const auto& [name, tensor] : plain) {
    EXPECT_TRUE(at::equal(tensor, swapped.at(name))) << name;
    EXPECT_EQ(tensor.requires_grad(), swapped.at(name).requires_grad()) << name;
  }
  EXPECT_FALSE(at::equal(plain.at("model/fc1.weight"), plain.at("ema/fc1.weight")));
}

TEST_F(EmaTest, NothingIsRestoredWhileTheyAreSwappedIn) {
  SmallNet net;
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  Ema ema(net, 0.9);
  train_on(net, optimizer, ema, 0, 2);
  auto state = TrainingState().model("model", net).part("ema", ema);
  save_file(file_, state);
  auto shadow = ema.weights();
  const std::string before = digest(net);
  std::string message = error_of(ErrorCode::mismatch, [&] { load_file(file_, state); });
  EXPECT_TRUE(contains(message, "ema: the averages are the model's weights now"));
  EXPECT_EQ(digest(net), before);
}

TEST_F(EmaTest, GoesOnWhereItWasAndOnlyIfItIsInTheState) {
  SmallNet net;
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  Ema ema(net, std::vector<double>{0.9, 0.5});
  auto state = [](SmallNet& n, auto& o) {
    return TrainingState().model("model", n).optimizer("optimizer", o);
  };
  train_on(net, optimizer, ema, 0, 4);
  save_file(file_, state(net, optimizer).part("ema", ema));
  train_on(net, optimizer, ema, 4, 3);

  SmallNet resumed(true);
  torch::optim::SGD fresh(resumed->parameters(), 0.2);
  Ema loaded(resumed, std::vector<double>{0.9, 0.5});
  load_file(file_, state(resumed, fresh).part("ema", loaded));
  EXPECT_EQ(loaded.updates(), 4);
  train_on(resumed, fresh, loaded, 4, 3);
  EXPECT_EQ(digest(resumed), digest(net));
  EXPECT_EQ(averaged(resumed, loaded, 0), averaged(net, ema, 0));
  EXPECT_EQ(averaged(resumed, loaded, 1), averaged(net, ema, 1));
  EXPECT_NE(averaged(net, ema, 0), averaged(net, ema, 1));

  Ema forgotten(resumed, std::vector<double>{0.9, 0.5});
  load_file(file_, state(resumed, fresh));
  train_on(resumed, fresh, forgotten, 4, 3);
  EXPECT_EQ(digest(resumed), digest(net));
  EXPECT_NE(averaged(resumed, forgotten), averaged(net, ema)) << "this test proves nothing";
}

TEST_F(EmaTest, AnotherDecayIsTakenOverAndOtherDecaysAreRefused) {
  SmallNet net;
  Ema saved(net, 0.9), one(net, 0.5), two(net, std::vector<double>{0.9, 0.5});
  saved.update();
  save_file(file_, TrainingState().part("ema", saved));
  load_file(file_, TrainingState().part("ema", one));
  torch::NoGradGuard no_grad;
  net->fc1->weight.add_(1);
  saved.update();
  one.update();
  EXPECT_EQ(averaged(net, one), averaged(net, saved));
  std::string message =
      error_of(ErrorCode::mismatch, [&] { load_file(file_, TrainingState().part("ema", two)); });
  EXPECT_TRUE(contains(message, "ema: decays 0.9, 0.5 here, 0.9 in the checkpoint"));
}

struct Tied : torch::nn::Module {
  Tied() {
    first = register_parameter("first", torch::randn({3, 3}));
    second = register_parameter("second", first);
  }
  torch::Tensor first, second;
};

TEST_F(EmaTest, TiedWeightsHaveOneAverage) {
  auto net = std::make_shared<Tied>();
  Ema ema(net, 0.5);
  ema.update();
  torch::NoGradGuard no_grad;
  net->first.add_(2);
  ema.update();
  const at::Tensor raw = net->first.clone();
  {
    auto shadow = ema.weights();
    EXPECT_TRUE(at::allclose(net->second, raw - 1));
  }
  EXPECT_TRUE(at::equal(net->second, raw));
  save_file(file_, TrainingState().part("ema", ema));
  EXPECT_EQ(read_tensors(open_file(file_)).size(), 1u);
}

TEST_F(EmaTest, MisuseIsAnError) {
  SmallNet net;
  auto refuse = [](const std::function<void()>& action) {
    return error_of(ErrorCode::invalid_argument, action);
  };
  EXPECT_TRUE(contains(refuse([&] { Ema(net, 1.5); }), "decay 1.5"));
  Ema ema(net, 0.9);
  EXPECT_TRUE(contains(refuse([&] { ema.weights(); }), "before the first update"));
  ema.update();
  EXPECT_TRUE(contains(refuse([&] { ema.weights(1); }), "no average 1"));
  auto shadow = ema.weights();
  EXPECT_TRUE(contains(refuse([&] { ema.update(); }), "update() while"));
  EXPECT_TRUE(contains(refuse([&] { ema.weights(); }), "weights() while"));
}

}  // namespace
}  // namespace ckp::test

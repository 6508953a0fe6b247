// Stochastic weight averaging: PyTorch's arithmetic, when it begins, BatchNorm's statistics, and
// all of it across a save.
#include "ckp/libtorch/swa.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "ckp/libtorch/ema.h"
#include "ckp/libtorch/lr_scheduler.h"
#include "ckp/libtorch/tensor.h"
#include "ckp/libtorch/update_bn.h"
#include "small_net.h"

namespace ckp::test {
namespace {

using namespace libtorch;

class SwaTest : public ::testing::Test {
 protected:
  static void train_on(SmallNet& net, torch::optim::Optimizer& optimizer, Swa& swa, int first,
                       int count) {
    for (int step = first; step < first + count; ++step) {
      train(net, optimizer, step, 1);
      swa.update();
    }
  }
  static std::string averaged(const SmallNet& net, Swa& swa) {
    auto shadow = swa.weights();
    return digest(net);
  }
  static at::Tensor inputs() {
    return at::randn({16, 5}, at::make_generator<at::CPUGeneratorImpl>(99),
                     at::TensorOptions(at::kFloat));
  }
  static nlohmann::json golden(const std::string& name) {
    std::ifstream file(CKP_SOURCE_DIR "/tests/libtorch/golden/training_parts.json");
    return nlohmann::json::parse(file).at(name);
  }
  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "state.ckp";
};

// The same operations in the same order: the same bits.
TEST_F(SwaTest, IsPyTorchsAverage) {
  const auto expected = golden("averaged_model").get<std::vector<std::vector<float>>>();
  ASSERT_EQ(expected.size(), 40u);
  torch::nn::Linear net(torch::nn::LinearOptions(8, 1).bias(false));
  torch::NoGradGuard no_grad;
  Swa swa(net);
  for (int n = 0; n < 40; ++n) {
    for (int i = 0; i < 8; ++i) net->weight[0][i] = ((i * 7 + n * 13) % 23) / 7.0;
    swa.update();
    auto shadow = swa.weights();
    for (int i = 0; i < 8; ++i) {
      EXPECT_EQ(net->weight[0][i].item<float>(),
                expected[static_cast<std::size_t>(n)][static_cast<std::size_t>(i)])
          << n << ", " << i;
    }
  }
  EXPECT_EQ(swa.updates(), 40);
}

TEST_F(SwaTest, BeginsWhenItIsToldAndTakesEachNth) {
  torch::nn::Linear net(torch::nn::LinearOptions(1, 1).bias(false));
  torch::NoGradGuard no_grad;
  Swa swa(net, {.begin = 3, .every = 2});
  std::vector<std::int64_t> taken;
  for (int t = 0; t < 8; ++t) {
    net->weight.fill_(t);
    EXPECT_EQ(swa.begun(), t > 3);
    swa.update();
    taken.push_back(swa.updates());
  }
  EXPECT_EQ(taken, (std::vector<std::int64_t>{0, 0, 0, 1, 1, 2, 2, 3}));
  auto shadow = swa.weights();
  EXPECT_EQ(net->weight.item<float>(), 5);  // of 3, 5 and 7
}

TEST_F(SwaTest, UntilItBeginsTheWeightsAreTheModelsOwn) {
  SmallNet net;
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  Swa swa(net, {.begin = 5});
  train_on(net, optimizer, swa, 0, 3);
  const std::string raw = digest(net);
  EXPECT_EQ(averaged(net, swa), raw);
  EXPECT_EQ(digest(net), raw);
}

TEST_F(SwaTest, ComplexAndHalfParametersAreAveraged) {
  struct Odd : torch::nn::Module {
    Odd() {
      complex = register_parameter("complex", at::zeros({2}, at::kComplexFloat));
      half = register_parameter("half", at::zeros({2}, at::kHalf));
      bfloat = register_parameter("bfloat", at::zeros({2}, at::kBFloat16));
    }
    at::Tensor complex, half, bfloat;
  };
  auto net = std::make_shared<Odd>();
  Swa swa(net);
  torch::NoGradGuard no_grad;
  for (int n = 1; n <= 3; ++n) {
    for (auto& tensor : net->parameters()) tensor.fill_(2 * n);
    swa.update();
  }
  auto shadow = swa.weights();
  for (const auto& tensor : net->parameters()) {
    EXPECT_TRUE(at::equal(tensor, at::full_like(tensor, 4))) << tensor;
  }
}

TEST_F(SwaTest, StatisticsAreThoseOfPyTorchsUpdateBn) {
  const auto expected = golden("update_bn");
  torch::nn::Sequential net(torch::nn::BatchNorm1d(3), torch::nn::Dropout(0.5));
  net->eval();
  auto* norm = net[0]->as<torch::nn::BatchNorm1d>();
  int row = 0;
  update_bn(net, [&] {
    EXPECT_TRUE(norm->is_training());
    EXPECT_FALSE(at::GradMode::is_enabled());
    for (int size : {4, 4, 2}) {
      at::Tensor batch = at::empty({size, 3});
      for (int j = 0; j < size; ++j, ++row) {
        for (int k = 0; k < 3; ++k) batch[j][k] = ((row * 5 + k * 11) % 17) / 4.0;
      }
      net->forward(batch);
    }
  });
  for (const auto& [name, values] : expected.items()) {
    const at::Tensor found = norm->named_buffers()[name].to(at::kDouble).reshape({-1});
    const at::Tensor wanted = torch::tensor(values.get<std::vector<double>>(), at::kDouble);
    EXPECT_TRUE(at::allclose(found, wanted, /*rtol=*/1e-6, /*atol=*/0)) << name << found;
  }
  EXPECT_FALSE(norm->is_training());
  EXPECT_EQ(norm->options.momentum(), 0.1);
}

TEST_F(SwaTest, UpdateBnLeavesEachModuleInItsModeAlsoAfterAnException) {
  SmallNet net;
  net->fc1->eval();  // frozen, in a model that trains
  EXPECT_THROW(update_bn(net, [] { throw std::runtime_error("no data"); }), std::runtime_error);
  EXPECT_TRUE(net->is_training());
  EXPECT_TRUE(net->norm->is_training());
  EXPECT_FALSE(net->fc1->is_training());
  EXPECT_EQ(net->norm->options.momentum(), 0.1);
  torch::nn::Linear plain(2, 2);
  update_bn(plain, [] { ADD_FAILURE() << "there is nothing to measure"; });
}

// The weights' own statistics come back with the weights, and are those of a save meanwhile.
TEST_F(SwaTest, ASaveWhileItIsSwappedInWritesWeightsAndBuffersOfTheModel) {
  SmallNet net;
  torch::optim::AdamW optimizer(net->parameters(), 0.1);
  Swa swa(net);
  train_on(net, optimizer, swa, 0, 3);
  auto state =
      TrainingState().model("model", net).optimizer("optimizer", optimizer).part("swa", swa);
  save_file(folder_ / "plain.ckp", state);
  const std::string raw = digest(net);
  {
    auto shadow = swa.weights();
    update_bn(net, [&] { net(inputs()); });
    EXPECT_NE(digest(net), raw);
    save_file(folder_ / "swapped.ckp", state);
    // Of the model alone: as it is.
    save_file(folder_ / "averaged.ckp", *net);
  }
  EXPECT_EQ(digest(net), raw);
  auto plain = read_tensors(open_file(folder_ / "plain.ckp"));
  auto swapped = read_tensors(open_file(folder_ / "swapped.ckp"));
  auto averaged = read_tensors(open_file(folder_ / "averaged.ckp"));
  ASSERT_EQ(plain.size(), swapped.size());
  for (const auto& [name, tensor] : plain) {
    EXPECT_TRUE(at::equal(tensor, swapped.at(name))) << name;
    EXPECT_EQ(tensor.requires_grad(), swapped.at(name).requires_grad()) << name;
  }
  EXPECT_FALSE(at::equal(plain.at("model/fc1.weight"), plain.at("swa/fc1.weight")));
  EXPECT_TRUE(at::equal(averaged.at("model/fc1.weight"), plain.at("swa/fc1.weight")));
  for (const char* statistic : {"model/norm.running_mean", "model/norm.num_batches_tracked"}) {
    EXPECT_FALSE(at::equal(averaged.at(statistic), plain.at(statistic))) << statistic;
  }
}

TEST_F(SwaTest, GoesOnWhereItWas) {
  SmallNet net;
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  Swa swa(net, {.begin = 2, .every = 3});
  auto state = [](SmallNet& n, auto& o, Swa& s) {
    return TrainingState().model("model", n).optimizer("optimizer", o).part("swa", s);
  };
  train_on(net, optimizer, swa, 0, 4);  // between two that it takes
  save_file(file_, state(net, optimizer, swa));
  train_on(net, optimizer, swa, 4, 5);

  SmallNet resumed(true);
  torch::optim::SGD fresh(resumed->parameters(), 0.2);
  Swa loaded(resumed, {.begin = 7});
  RestoreReport report = load_file(file_, state(resumed, fresh, loaded));
  ASSERT_EQ(report.differences.size(), 3u);  // and the learning rate
  EXPECT_EQ(report.differences[1].name, "swa/begin");
  EXPECT_EQ(report.differences[2].name, "swa/every");
  EXPECT_EQ(loaded.updates(), 1);
  train_on(resumed, fresh, loaded, 4, 5);
  EXPECT_EQ(loaded.updates(), 3);
  EXPECT_EQ(digest(resumed), digest(net));
  EXPECT_EQ(averaged(resumed, loaded), averaged(net, swa));

  RestoreOptions options;
  options.keep_constructed = {"swa/every"};
  Swa kept(resumed, {.every = 4});
  load_file(file_, state(resumed, fresh, kept), options);
  train_on(resumed, fresh, kept, 4, 3);  // the calls 2, 6, 10 are taken in
  EXPECT_EQ(kept.updates(), 2);
}

TEST_F(SwaTest, AnotherTrainingMayStartFromIt) {
  SmallNet net, other;
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  Swa swa(net);
  train_on(net, optimizer, swa, 0, 3);
  save_file(file_, TrainingState().model("model", net).part("swa", swa));
  TrainingState().model("model", other).start_from(open_file(file_), {.part = "swa"});
  EXPECT_EQ(digest(other), averaged(net, swa));
}

TEST_F(SwaTest, NoSaveWhileTwoAveragesAreSwappedIn) {
  SmallNet net;
  Swa swa(net);
  Ema ema(net, 0.9);
  swa.update();
  ema.update();
  auto state = TrainingState().model("model", net).part("swa", swa).part("ema", ema);
  auto shadow = swa.weights();
  save_file(file_, state);
  {
    auto other = ema.weights();
    EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument, [&] { save_file(file_, state); }),
                         "averages of two parts"));
  }
  save_file(file_, state);
}

TEST_F(SwaTest, WhatDoesNotFitIsRefusedBeforeAnythingChanges) {
  SmallNet net;
  Swa swa(net);
  swa.update();
  save_file(file_, TrainingState().part("swa", swa));
  SmallNet wider(false, 9);
  Swa wide(wider);
  wide.update();
  const std::string before = averaged(wider, wide);
  std::string message =
      error_of(ErrorCode::mismatch, [&] { load_file(file_, TrainingState().part("swa", wide)); });
  EXPECT_TRUE(contains(message, "swa/fc1.weight: the swa has shape [9, 5] float32"));
  EXPECT_EQ(averaged(wider, wide), before);
  auto shadow = swa.weights();
  message =
      error_of(ErrorCode::mismatch, [&] { load_file(file_, TrainingState().part("swa", swa)); });
  EXPECT_TRUE(contains(message, "swa: the averages are the model's weights now"));
}

TEST_F(SwaTest, MisuseIsAnError) {
  SmallNet net;
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  auto refuse = [](const std::function<void()>& action) {
    return error_of(ErrorCode::invalid_argument, action);
  };
  EXPECT_TRUE(contains(refuse([&] { Swa(net, {.begin = -1}); }), "Swa: begin is -1"));
  EXPECT_TRUE(contains(refuse([&] { Swa(net, {.every = 0}); }), "Swa: every is 0"));
  EXPECT_TRUE(contains(refuse([&] { SWALR(optimizer, {0.1, 0.2}); }), "2 rates for 1 groups"));
  EXPECT_TRUE(contains(refuse([&] { SWALR(optimizer, 0.1, -1); }), "anneal_epochs is -1"));
  EXPECT_TRUE(contains(refuse([&] { SWALR(optimizer, 0.1, 5, "sine"); }), "\"sine\""));
  Swa swa(net);
  auto shadow = swa.weights();
  EXPECT_TRUE(contains(refuse([&] { swa.update(); }), "update() while"));
  EXPECT_TRUE(contains(refuse([&] { swa.weights(); }), "weights() while"));
}

}  // namespace
}  // namespace ckp::test

#include "ckp/libtorch/tensor.h"
#include "ckp/state_digest.h"
#include "small_net.h"

namespace ckp::test {
namespace {

class Model : public ::testing::Test {
 protected:
  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "net.ckp";
};

TEST_F(Model, RoundTripThroughAFileIsExact) {
  SmallNet saved;
  torch::optim::SGD optimizer(saved->parameters(), 0.1);
  train(saved, optimizer, 0, 3);  // the buffers of the batch norm move, too
  libtorch::save_file(file_, *saved);

  SmallNet loaded(/*reversed=*/true);
  ASSERT_NE(digest(loaded), digest(saved));
  libtorch::RestoreReport report = libtorch::load_file(file_, *loaded);
  EXPECT_EQ(digest(loaded), digest(saved));
  EXPECT_EQ(report.restored.size(), 9u);
  EXPECT_TRUE(report.missing.empty());
  EXPECT_TRUE(report.ignored.empty());
}

TEST_F(Model, TheDigestIsThatOfTheCheckpoint) {
  SmallNet net;
  libtorch::save_file(file_, *net);
  EXPECT_EQ(state_digest(open_file(file_), "model").total, libtorch::weights_digest(*net));
  torch::NoGradGuard no_grad;
  net->fc1->bias[0].neg_();
  EXPECT_NE(state_digest(open_file(file_), "model").total, libtorch::weights_digest(*net));
}

TEST_F(Model, AnotherShapeIsRefusedBeforeAnythingChanges) {
  SmallNet saved(false, 4), loaded(false, 8);
  libtorch::save_file(file_, *saved);
  const std::string before = digest(loaded);
  std::string message = error_of(ErrorCode::mismatch, [&] { libtorch::load_file(file_, *loaded); });
  EXPECT_TRUE(contains(message,
                       "model/fc1.weight: the model has shape [8, 5] float32, the "
                       "checkpoint has shape [4, 5] float32"));
  EXPECT_TRUE(contains(message, "nothing was changed"));
  EXPECT_EQ(digest(loaded), before);
}

TEST_F(Model, AnotherDTypeIsRefusedBeforeAnythingChanges) {
  SmallNet saved, loaded;
  saved->fc2->to(at::kDouble);
  libtorch::save_file(file_, *saved);
  const std::string before = digest(loaded);
  std::string message = error_of(ErrorCode::mismatch, [&] { libtorch::load_file(file_, *loaded); });
  EXPECT_TRUE(contains(message,
                       "model/fc2.bias: the model has shape [3] float32, the checkpoint "
                       "has shape [3] float64"));
  EXPECT_EQ(digest(loaded), before);
}

struct Renamed : torch::nn::Module {
  Renamed() : fc(2, 2) { register_module("fc_one", fc); }
  torch::nn::Linear fc;
};
struct Original : torch::nn::Module {
  Original() : fc(2, 2) { register_module("fc_1", fc); }
  torch::nn::Linear fc;
};

TEST_F(Model, AnotherNameIsRefusedWithTheClosestOne) {
  Original saved;
  Renamed loaded;
  libtorch::save_file(file_, saved);
  const Digest before = libtorch::weights_digest(loaded);
  std::string message = error_of(ErrorCode::mismatch, [&] { libtorch::load_file(file_, loaded); });
  EXPECT_TRUE(contains(message, "4 things do not fit; nothing was changed"));
  EXPECT_TRUE(contains(message,
                       "model/fc_one.weight: not in the checkpoint; the closest name "
                       "there is model/fc_1.weight"));
  EXPECT_TRUE(contains(message,
                       "model/fc_1.bias: in the checkpoint (shape [2] float32), but not "
                       "in the model"));
  EXPECT_EQ(libtorch::weights_digest(loaded), before);
}

TEST_F(Model, WithoutStrictWhatFitsIsRestoredAndTheRestReported) {
  Original saved;
  Renamed loaded;
  libtorch::save_file(file_, saved);
  const Digest before = libtorch::weights_digest(loaded);
  libtorch::RestoreReport report =
      libtorch::load_file(file_, loaded, {.strict = false, .load = {}});
  EXPECT_EQ(libtorch::weights_digest(loaded), before);
  EXPECT_TRUE(report.restored.empty());
  EXPECT_EQ(report.missing, (std::vector<std::string>{"model/fc_one.weight", "model/fc_one.bias"}));
  EXPECT_EQ(report.ignored, (std::vector<std::string>{"model/fc_1.bias", "model/fc_1.weight"}));
  std::ostringstream text;
  text << report;
  EXPECT_EQ(text.str(), "restored: none; missing: model (2 tensors); ignored: model (2 tensors)");
}

struct TiedNet : torch::nn::Module {
  explicit TiedNet(bool tie) {
    first = register_parameter("first", torch::randn({3, 3}));
    second = register_parameter("second", tie ? first : torch::randn({3, 3}));
  }
  torch::Tensor first, second;
};

TEST_F(Model, TiedWeightsAreStoredOnceAndStayTied) {
  TiedNet saved(true), loaded(true);
  SaveReport report = libtorch::save_file(file_, saved);
  EXPECT_EQ(report.checkpoint.tensor_bytes, 9 * sizeof(float));
  libtorch::load_file(file_, loaded);
  EXPECT_TRUE(loaded.first.is_alias_of(loaded.second));
  EXPECT_EQ(libtorch::weights_digest(loaded), libtorch::weights_digest(saved));
  auto tensors = libtorch::read_tensors(open_file(file_));
  EXPECT_TRUE(tensors.at("model/first").is_alias_of(tensors.at("model/second")));
}

TEST_F(Model, TiedWeightsTakeEqualValuesOnly) {
  TiedNet saved(false), loaded(true);
  libtorch::save_file(file_, saved);
  const Digest before = libtorch::weights_digest(loaded);
  std::string message = error_of(ErrorCode::mismatch, [&] { libtorch::load_file(file_, loaded); });
  EXPECT_TRUE(contains(message,
                       "model/second: shares its memory with model/first here, but the "
                       "checkpoint has different values for them"));
  EXPECT_EQ(libtorch::weights_digest(loaded), before);

  torch::NoGradGuard no_grad;
  saved.second.copy_(saved.first);
  libtorch::save_file(file_, saved);
  libtorch::load_file(file_, loaded);
  EXPECT_EQ(libtorch::weights_digest(loaded), libtorch::weights_digest(saved));
}

TEST_F(Model, StridesOfTheModelMayDiffer) {
  torch::nn::Conv2d saved(2, 3, 3), loaded(2, 3, 3);
  loaded->to(torch::kFloat);
  loaded->weight.set_data(loaded->weight.contiguous(at::MemoryFormat::ChannelsLast));
  libtorch::save_file(file_, *saved);
  libtorch::load_file(file_, *loaded);
  EXPECT_TRUE(at::equal(saved->weight, loaded->weight));
  EXPECT_TRUE(loaded->weight.is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST_F(Model, ADamagedFileIsRefused) {
  SmallNet net;
  libtorch::save_file(file_, *net);
  std::filesystem::resize_file(file_, std::filesystem::file_size(file_) / 2);
  const std::string before = digest(net);
  error_of(ErrorCode::corrupt, [&] { libtorch::load_file(file_, *net); });
  EXPECT_EQ(digest(net), before);
}

}  // namespace
}  // namespace ckp::test

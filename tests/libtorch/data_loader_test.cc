// The resumable sampler inside LibTorch's DataLoader, with and without workers.
#include "ckp/libtorch/data_loader.h"

#include "ckp/libtorch/sampler.h"
#include "small_net.h"

namespace ckp::test {
namespace {

using namespace libtorch;

// Sample i is the number i.
struct Numbers : torch::data::datasets::Dataset<Numbers> {
  explicit Numbers(std::size_t count) : count_(count) {}
  torch::data::Example<> get(std::size_t index) override {
    const auto value = static_cast<std::int64_t>(index);
    return {torch::full({1}, value, torch::kLong), torch::full({1}, value, torch::kLong)};
  }
  torch::optional<std::size_t> size() const override { return count_; }
  std::size_t count_;
};

using Order = std::vector<std::int64_t>;

void append(Order& order, const torch::Tensor& data) {
  auto flat = data.contiguous().view({-1});
  const auto* values = flat.data_ptr<std::int64_t>();
  order.insert(order.end(), values, values + flat.numel());
}

class DataLoader : public ::testing::TestWithParam<std::size_t> {
 protected:
  static constexpr std::int64_t kSize = 103;

  auto make(Sampler& sampler, std::size_t batch_size) {
    return torch::data::make_data_loader(
        Numbers(kSize).map(torch::data::transforms::Stack<>()), LoaderSampler(sampler),
        torch::data::DataLoaderOptions(batch_size).workers(GetParam()));
  }
  // At most `batches` batches, through a loader of their own.
  Order read(Sampler& sampler, std::size_t batch_size, std::size_t batches = 1000) {
    Order order;
    auto loader = make(sampler, batch_size);
    for (auto& batch : consume(*loader, sampler)) {
      append(order, batch.data);
      if (--batches == 0) break;
    }
    return order;
  }
  void save(Sampler& sampler) { save_file(file_, TrainingState().part("sampler", sampler)); }
  RestoreReport load(Sampler& sampler) {
    return load_file(file_, TrainingState().part("sampler", sampler));
  }

  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "sampler.ckp";
};

TEST_P(DataLoader, DeliversEverySampleOnceAnEpochAndCountsWhatTheLoopGot) {
  Sampler sampler(kSize, 10, 42);
  auto loader = make(sampler, 10);
  Order epochs[2];
  for (Order& order : epochs) {
    for (auto& batch : consume(*loader, sampler)) {
      append(order, batch.data);
      ASSERT_EQ(sampler.position(), static_cast<std::int64_t>(order.size()));
    }
  }
  EXPECT_EQ(sampler.epoch(), 2);
  EXPECT_EQ(sampler.position(), 0);
  EXPECT_NE(epochs[0], epochs[1]);
  for (Order& order : epochs) {
    std::sort(order.begin(), order.end());
    ASSERT_EQ(order.size(), static_cast<std::size_t>(kSize));
    for (std::int64_t i = 0; i < kSize; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  }
}

TEST_P(DataLoader, GoesOnInTheMiddleOfAnEpoch) {
  Sampler whole(kSize, 10, 42), saved(kSize, 10, 42), loaded(kSize, 10, 7);
  const Order expected = read(whole, 10);
  Order found = read(saved, 10, 2);  // with workers more is drawn by now
  EXPECT_EQ(saved.position(), 20);
  save(saved);
  read(loaded, 10, 5);
  load(loaded);
  EXPECT_EQ(loaded.position(), 20);
  const Order rest = read(loaded, 10);
  found.insert(found.end(), rest.begin(), rest.end());
  EXPECT_EQ(found, expected);
  EXPECT_EQ(read(loaded, 10), read(whole, 10)) << "the next epoch";

  Sampler forgotten(kSize, 10, 42);
  EXPECT_NE(read(forgotten, 10), rest) << "this test proves nothing";
}

TEST_P(DataLoader, AnotherBatchSizeIsConverted) {
  Sampler whole(kSize, 10, 42), saved(kSize, 10, 42), loaded(kSize, 7, 42);
  const Order expected = read(whole, 10);
  Order found = read(saved, 10, 3);
  save(saved);
  EXPECT_EQ(load(loaded).converted,
            std::vector<std::string>{"sampler: batch size 10 in the checkpoint, 7 here"});
  const Order rest = read(loaded, 7);
  found.insert(found.end(), rest.begin(), rest.end());
  EXPECT_EQ(found, expected);
}

TEST_P(DataLoader, ASaveAfterTheLastBatchGoesOnWithTheNextEpoch) {
  Sampler whole(kSize, 10, 42), saved(kSize, 10, 42), loaded(kSize, 10, 1);
  read(whole, 10);
  read(saved, 10, 11);  // all of them, but the loop has not ended
  EXPECT_TRUE(saved.epoch_done());
  save(saved);
  load(loaded);
  EXPECT_EQ(read(loaded, 10), read(whole, 10));
}

INSTANTIATE_TEST_SUITE_P(Workers, DataLoader, ::testing::Values(0, 2, 4),
                         [](const auto& tested) { return std::to_string(tested.param); });

TEST(LoaderSampler, CallsWithoutABatchAreErrors) {
  Sampler sampler(10, 4, 1);
  EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument, [&] { sampler.delivered(); }),
                       "without a batch"));
  EXPECT_TRUE(
      contains(error_of(ErrorCode::invalid_argument, [&] { sampler.draw(0); }), "batch size 0"));
}

}  // namespace
}  // namespace ckp::test

// The last save of a loop that has to be quick.
#include <signal.h>

#include "small_training.h"

namespace ckp::test {
namespace {

using namespace std::chrono_literals;

// A mebibyte that every level makes nothing of, and one of bytes of seven bits, which only a level
// that takes its time makes smaller.
struct Bytes : libtorch::Part {
  void save(libtorch::PartWriter& out) const override {
    out.tensor("zeros", zeros);
    out.tensor("sevens", sevens);
  }
  void check(libtorch::PartReader& in) override {
    in.tensor("zeros", zeros);
    in.tensor("sevens", sevens);
  }
  at::Tensor zeros = at::zeros({1 << 18});
  at::Tensor sevens = at::randint(0, 128, {1 << 20}, at::make_generator<at::CPUGeneratorImpl>(1),
                                  at::TensorOptions(at::kByte));
};

class Deadline : public Loop {
 protected:
  // The bytes of the only save.
  std::uint64_t written(const LoopOptions& options, int signal_in_step_two) {
    Training training(path_, options);
    Bytes some;
    training.state.part("bytes", some);
    std::vector<std::uint64_t> bytes;
    training.options.save_every_epochs = 0;
    training.options.on_saved = [&](const SaveReport& report) {
      bytes.push_back(report.bytes_written);
    };
    TrainingLoop loop(path_, "run-" + std::to_string(++runs_), training.state, training.options);
    training.train(loop, 1, [&](TrainingLoop& running) {
      if (running.progress().step == 1 && signal_in_step_two != 0) ::raise(signal_in_step_two);
    });
    EXPECT_EQ(bytes.size(), 1u) << training.said;
    return bytes.empty() ? 0 : bytes[0];
  }
  static constexpr std::uint64_t kSize = 1 << 20;
  int runs_ = 0;
};

TEST_F(Deadline, ASaveBeforeOneIsOfTheLevelFast) {
  LoopOptions signalled;
  signalled.on_signal = libtorch::OnSignal::stop;
  auto is_fast = [&](const LoopOptions& options, int signal) {
    const std::uint64_t bytes = written(options, signal);
    std::filesystem::remove_all(path_);  // or the chunks would be shared
    EXPECT_LT(bytes, kSize + kSize / 4);
    return bytes > kSize;
  };
  EXPECT_FALSE(is_fast({}, 0)) << "this test proves nothing";
  EXPECT_FALSE(is_fast(signalled, SIGTERM));
  signalled.notice = 30s;
  EXPECT_TRUE(is_fast(signalled, SIGTERM));
  EXPECT_TRUE(is_fast({.max_time = 1ms}, 0));
}

TEST_F(Deadline, ASaveThatTakesLongerThanTheNoticeIsToldOnce) {
  Training training(path_);
  training.options.on_signal = libtorch::OnSignal::stop;
  training.options.notice = 1ns;
  TrainingLoop loop(path_, "run", training.state, training.options);
  training.train(loop, 2);
  const std::string told = "the notice of 0.0 s is too short for it";
  EXPECT_TRUE(contains(training.said, told));
  EXPECT_EQ(training.said.find(told), training.said.rfind(told));
}

}  // namespace
}  // namespace ckp::test

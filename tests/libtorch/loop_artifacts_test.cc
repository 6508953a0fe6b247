// Files that a loop attaches to each of its checkpoints.
#include <fstream>

#include "ckp/artifacts.h"
#include "ckp/error.h"
#include "small_training.h"

namespace ckp::test {
namespace {

class LoopArtifacts : public Loop {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& content) {
    std::ofstream(folder_ / name, std::ios::trunc) << content;
    return folder_ / name;
  }
  std::string content_of(const CheckpointRecord& checkpoint, const std::string& name) {
    std::string content;
    read_artifact(Store::open(path_).open_checkpoint(checkpoint), name,
                  [&](std::span<const std::byte> bytes) {
                    content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                  });
    return content;
  }
};

TEST_F(LoopArtifacts, GoWithEachCheckpointAndAreNoStateToResume) {
  const std::string expected = uninterrupted();
  for (const bool lazy : {false, true}) {
    const std::string run = lazy ? "lazy" : "run";
    {
      Training training(path_);
      training.options.lazy_saves = lazy;
      TrainingLoop loop(path_, run, training.state, training.options);
      loop.attach(write("tokenizer.json", "words"));
      std::int64_t epoch = 0;
      for (auto& each : loop.epochs(2)) {
        for (auto& batch : each.batches(training.samples, training.sampler)) {
          loop.before_step();
          loop.step({{"train/loss", training.step(batch)}});
        }
        loop.attach(write("matrix.csv", std::to_string(++epoch)), "reports/matrix.csv");
        training.steps->step();
      }
    }
    const auto checkpoints = line(run);
    ASSERT_EQ(checkpoints.size(), 2u);
    EXPECT_EQ(content_of(checkpoints[0], "tokenizer.json"), "words");
    EXPECT_EQ(content_of(checkpoints[0], "reports/matrix.csv"), "1");
    EXPECT_EQ(content_of(checkpoints[1], "tokenizer.json"), "words");
    EXPECT_EQ(content_of(checkpoints[1], "reports/matrix.csv"), "2");

    Training second(path_);
    TrainingLoop loop(path_, run, second.state, second.options);
    const auto report = loop.resume(Resume::exact);
    EXPECT_TRUE(report.restored.exact());
    EXPECT_TRUE(report.restored.ignored.empty());
    second.train(loop, 3);
    EXPECT_EQ(digest(second.net), expected);
  }
}

TEST_F(LoopArtifacts, OneThatIsGoneIsToldOnceAndLeftOut) {
  Training training(path_);
  TrainingLoop loop(path_, "run", training.state, training.options);
  error_of(ErrorCode::not_found, [&] { loop.attach(folder_ / "none"); });
  error_of(ErrorCode::invalid_argument, [&] { loop.attach(folder_ / "."); });
  error_of(ErrorCode::invalid_argument, [&] { loop.attach(write("a", "x"), "../a"); });
  const auto file = write("gone.txt", "x");
  loop.attach(file);
  loop.attach(write("here.txt", "here"));
  std::filesystem::remove(file);
  training.train(loop, 2);
  EXPECT_EQ(training.said, "the attached file gone.txt is gone: " + file.string() +
                               "; checkpoints are saved without it\n");
  ASSERT_EQ(line().size(), 2u);
  EXPECT_EQ(content_of(line()[1], "here.txt"), "here");
}

}  // namespace
}  // namespace ckp::test

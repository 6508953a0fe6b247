#include "ckp/libtorch/best_tracker.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ckp/libtorch/save_file.h"
#include "ckp/libtorch/training_state.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace ckp::test {
namespace {

using libtorch::BestTracker;
using libtorch::TrainingState;

TEST(BestTracker, TheFirstFiniteValueIsTheBest) {
  BestTracker best({"val/loss", Better::lower, 0});
  EXPECT_FALSE(best.value());
  EXPECT_FALSE(best.offer(std::nan(""), 1, 10));
  EXPECT_FALSE(best.offer(-INFINITY, 2, 20));
  EXPECT_TRUE(best.offer(5, 3, 30));
  EXPECT_EQ(best.value(), 5);
  EXPECT_EQ(best.epoch(), 3);
  EXPECT_EQ(best.step(), 30);
}

TEST(BestTracker, ABetterOneMustBeBetterByMoreThanTheLeastGain) {
  BestTracker lower({"loss", Better::lower, 0.25}), higher({"auc", Better::higher, 0.25});
  EXPECT_TRUE(lower.offer(1, 1, 1));
  EXPECT_FALSE(lower.offer(0.75, 2, 2));
  EXPECT_EQ(lower.step(), 1);
  EXPECT_TRUE(lower.offer(0.5, 3, 3));
  EXPECT_TRUE(higher.offer(1, 1, 1));
  EXPECT_FALSE(higher.offer(1.25, 2, 2));
  EXPECT_FALSE(higher.offer(0, 2, 2));
  EXPECT_TRUE(higher.offer(1.5, 3, 3));
}

TEST(BestTracker, GoesOnFromASavedState) {
  TemporaryDirectory folder;
  BestTracker saved({"loss", Better::lower, 0}), loaded({"loss", Better::lower, 0});
  libtorch::save_file(folder / "none.ckp", TrainingState().part("best", saved));
  saved.offer(0.1 + 0.2, 4, 40);
  libtorch::save_file(folder / "one.ckp", TrainingState().part("best", saved));

  libtorch::load_file(folder / "one.ckp", TrainingState().part("best", loaded));
  EXPECT_EQ(loaded.value(), 0.1 + 0.2);
  EXPECT_EQ(loaded.epoch(), 4);
  EXPECT_EQ(loaded.step(), 40);
  EXPECT_FALSE(loaded.offer(0.5, 5, 50));
  libtorch::load_file(folder / "none.ckp", TrainingState().part("best", loaded));
  EXPECT_FALSE(loaded.value());
}

TEST(BestTracker, ABestOfAnotherMetricIsNotTakenOver) {
  TemporaryDirectory folder;
  BestTracker saved({"loss", Better::lower, 0}), metric({"auc", Better::lower, 0}),
      direction({"loss", Better::higher, 0});
  saved.offer(1, 1, 1);
  libtorch::save_file(folder / "a.ckp", TrainingState().part("best", saved));
  auto report = libtorch::load_file(folder / "a.ckp", TrainingState().part("best", metric));
  ASSERT_EQ(report.converted.size(), 1u);
  EXPECT_EQ(report.converted[0], "best: begins anew: loss:min in the checkpoint, auc:min here");
  EXPECT_FALSE(metric.value());
  libtorch::load_file(folder / "a.ckp", TrainingState().part("best", direction));
  EXPECT_FALSE(direction.value());
}

TEST(BestTracker, AGainThatIsNoNumberIsRefused) {
  for (double gain : {-1., std::nan("")}) {
    expect_error(ErrorCode::invalid_argument, "min_delta", [&] {
      BestTracker({"loss", Better::lower, gain});
    });
  }
}

}  // namespace
}  // namespace ckp::test

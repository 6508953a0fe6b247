#include "ckp/libtorch/early_stopping.h"

#include <gtest/gtest.h>

#include "ckp/libtorch/save_file.h"
#include "ckp/libtorch/training_state.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace ckp::test {
namespace {

using libtorch::EarlyStopping;
using libtorch::TrainingState;

TEST(EarlyStopping, StopsAfterSoManyInARow) {
  EarlyStopping stopping(2);
  stopping.evaluated(false);
  EXPECT_FALSE(stopping.should_stop());
  stopping.evaluated(true);
  stopping.evaluated(false);
  EXPECT_FALSE(stopping.should_stop());
  stopping.evaluated(false);
  EXPECT_TRUE(stopping.should_stop());
}

TEST(EarlyStopping, ZeroNeverStops) {
  EarlyStopping stopping(0);
  for (int i = 0; i < 1000; ++i) stopping.evaluated(false);
  EXPECT_FALSE(stopping.should_stop());
}

TEST(EarlyStopping, TheCounterIsPartOfTheState) {
  TemporaryDirectory folder;
  EarlyStopping saved(3), loaded(3);
  saved.evaluated(false);
  saved.evaluated(false);
  libtorch::save_file(folder / "a.ckp", TrainingState().part("early_stopping", saved));
  libtorch::load_file(folder / "a.ckp", TrainingState().part("early_stopping", loaded));
  EXPECT_EQ(loaded.bad_in_a_row(), 2);
  loaded.evaluated(false);
  EXPECT_TRUE(loaded.should_stop());
}

TEST(EarlyStopping, NegativePatienceIsRefused) {
  expect_error(ErrorCode::invalid_argument, "patience -1", [] { EarlyStopping(-1); });
}

}  // namespace
}  // namespace ckp::test

// Tensors from checkpoint to checkpoint, against norms calculated here.
#include <array>
#include <cmath>
#include <limits>

#include "ckp/history.h"
#include "history_fixture.h"

namespace ckp {
namespace {

using StepKind = TensorStep::Kind;

double norm_of(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) {
    if (std::isfinite(value)) sum += double{value} * double{value};
  }
  return std::sqrt(sum);
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double change = double{b[i]} - double{a[i]};
    if (std::isfinite(change)) sum += change * change;
  }
  return std::sqrt(sum);
}

class DriftTest : public test::HistoryTest {
 protected:
  DriftReport drift_of(const std::string& only, const HistoryOptions& given = {}) {
    HistoryOptions options = given;
    options.only = only;
    return drift(store(), checkpoints(), options);
  }
};

TEST_F(DriftTest, NormsAndChangesAreThoseOfTheElements) {
  const std::vector<std::vector<float>> w{ramp(3000, 1), ramp(3000, 2), ramp(3000, 2),
                                          ramp(3000, 5)};
  for (const auto& values : w) save({{"m/w", values}, {"m/b", {1, 2, 3}}, {"o/x", values}});
  const DriftReport report = drift_of("m/w");
  ASSERT_EQ(report.steps.size(), 4u);
  EXPECT_TRUE(report.complete);
  const std::array kinds{StepKind::first, StepKind::changed, StepKind::unchanged,
                         StepKind::changed};
  for (std::size_t i = 0; i < w.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(report.steps[i].checkpoint.id, checkpoints()[i].id);
    ASSERT_EQ(report.steps[i].tensors.size(), 1u);
    const TensorStep& step = report.steps[i].tensors[0];
    EXPECT_EQ(step.name, "m/w");
    EXPECT_EQ(step.kind, kinds[i]);
    EXPECT_EQ(step.elements, 3000u);
    EXPECT_EQ(step.nonfinite, 0u);
    EXPECT_NEAR(*step.norm, norm_of(w[i]), 1e-9 * norm_of(w[i]));
    if (i == 0) {
      EXPECT_FALSE(step.relative.has_value());
      continue;
    }
    EXPECT_NEAR(*step.norm_change, distance(w[i - 1], w[i]), 1e-9 * norm_of(w[i]));
    EXPECT_NEAR(*step.relative, distance(w[i - 1], w[i]) / norm_of(w[i - 1]), 1e-9);
    EXPECT_EQ(step.changed == 0, kinds[i] == StepKind::unchanged);
  }
  EXPECT_EQ(drift_of("m").steps[0].tensors.size(), 2u);
  EXPECT_EQ(drift_of("").steps[0].tensors.size(), 3u);
  test::expect_error(ErrorCode::not_found, "closest names: m/w", [&] { drift_of("m/ww"); });
}

TEST_F(DriftTest, ChangedRowsAreAChange) {
  const auto before = ramp(40'000, 1);
  auto after = before;
  after[12'345] += 1;
  save({{"w", before}});
  const std::array saved{save({{"w", after}}), save({{"w", after}})};
  for (const auto& record : saved) {
    EXPECT_EQ(store().open_checkpoint(record).manifest().patches.size(), 1u);
  }
  const auto steps = drift_of("w").steps;
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[1].tensors.at(0).kind, StepKind::changed);
  EXPECT_EQ(steps[1].tensors[0].changed, 1u);
  EXPECT_NEAR(*steps[1].tensors[0].norm_change, distance(before, after), 1e-9);
  EXPECT_EQ(steps[2].tensors.at(0).kind, StepKind::unchanged);
  EXPECT_NEAR(*steps[2].tensors[0].norm, norm_of(after), 1e-9 * norm_of(after));
}

// What is not finite is counted, and in no norm; what was not finite before is in this one's norm.
TEST_F(DriftTest, NonfiniteElementsAreCountedAndLeftOutOfNorms) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float inf = std::numeric_limits<float>::infinity();
  save({{"v", {nan, 2, 0}}, {"w", {1, 2, 2}}});
  save({{"w", {3, nan, inf}}});
  save({{"w", {3, nan, inf}}});
  save({{"w", {3, 4, inf}}});
  const DriftReport report = drift_of("w");
  const auto step = [&](std::size_t i) { return report.steps.at(i).tensors.at(0); };
  EXPECT_DOUBLE_EQ(*step(0).norm, 3.0);
  EXPECT_DOUBLE_EQ(*step(1).norm, 3.0);
  EXPECT_EQ(step(1).nonfinite, 2u);
  EXPECT_DOUBLE_EQ(*step(1).norm_change, 2.0);
  EXPECT_EQ(step(2).kind, StepKind::unchanged);
  EXPECT_EQ(step(2).nonfinite, 2u);
  EXPECT_DOUBLE_EQ(*step(2).norm, 3.0);
  EXPECT_DOUBLE_EQ(*step(3).norm, 5.0) << "the 4 counts, though it was a NaN before";
  EXPECT_EQ(step(3).nonfinite, 1u);
  EXPECT_EQ(step(3).norm_change, 0.0);
  const TensorStep alone = drift_of("v").steps.at(0).tensors.at(0);
  EXPECT_EQ(alone.nonfinite, 1u);
  EXPECT_DOUBLE_EQ(*alone.norm, 2.0);
}

TEST_F(DriftTest, TensorsComeGoAndChangeTheirType) {
  save({{"a", {3, 4}}});
  save({{"a", {3, 4, 12}}, {"b", {1}}});
  save({{"b", {2}}});
  save({{"a", {3, 4, 0}}, {"b", {2}}});
  const DriftReport report = drift_of("");
  const auto step = [&](std::size_t at, std::size_t tensor) {
    return report.steps.at(at).tensors.at(tensor);
  };
  EXPECT_EQ(step(0, 0).kind, StepKind::first);
  EXPECT_EQ(step(1, 0).kind, StepKind::other_type);
  EXPECT_EQ(step(1, 0).norm, 13.0);
  EXPECT_FALSE(step(1, 0).relative.has_value());
  EXPECT_EQ(step(1, 1).kind, StepKind::first);
  EXPECT_EQ(step(2, 0).kind, StepKind::absent);
  EXPECT_FALSE(step(2, 0).norm.has_value());
  EXPECT_EQ(step(2, 1).relative, 1.0);
  EXPECT_EQ(step(3, 0).kind, StepKind::changed) << "against the last one that had it";
  EXPECT_EQ(step(3, 0).norm_change, 12.0);
}

// Their bytes are spoilt once the first was read, and nobody notices.
TEST_F(DriftTest, UnchangedTensorsAreNotRead) {
  save({{"w", ramp(20'000, 1)}});
  save({{"w", ramp(20'000, 1)}});
  const CheckpointRecord last = save({{"w", ramp(20'000, 1)}});
  bool damaged = false;
  HistoryOptions options;
  options.progress = [&](const VerifyProgress&) {
    if (!damaged) damage("w", last);
    damaged = true;
  };
  const DriftReport report = drift_of("w", options);
  for (const std::size_t i : {1u, 2u}) {
    const TensorStep& step = report.steps.at(i).tensors.at(0);
    EXPECT_EQ(step.kind, StepKind::unchanged) << step.damage;
    EXPECT_EQ(step.norm, report.steps.at(0).tensors.at(0).norm);
  }
  EXPECT_EQ(drift_of("w").steps.at(0).tensors.at(0).kind, StepKind::unreadable);
}

TEST_F(DriftTest, WhatIsDamagedIsNamedAndPassedOver) {
  save({{"w", wave(20'000, 1.1f)}});
  const CheckpointRecord second = save({{"w", wave(20'000, 1.3f)}});
  const CheckpointRecord third = save({{"w", wave(20'000, 1.7f)}});
  save({{"w", wave(20'000, 1.9f)}});
  damage("w", second);
  std::filesystem::resize_file(file_of(third), 200);
  const DriftReport report = drift_of("w");
  ASSERT_EQ(report.steps.size(), 4u);
  EXPECT_EQ(report.steps[1].tensors.at(0).kind, StepKind::unreadable);
  EXPECT_NE(report.steps[1].tensors.at(0).damage.find(second.id.hex()), std::string::npos);
  EXPECT_NE(report.steps[2].damage.find(third.id.hex()), std::string::npos);
  EXPECT_TRUE(report.steps[2].tensors.empty());
  const TensorStep& last = report.steps[3].tensors.at(0);
  EXPECT_EQ(last.kind, StepKind::changed);
  EXPECT_NEAR(*last.norm_change, distance(wave(20'000, 1.1f), wave(20'000, 1.9f)), 1e-6);
}

TEST_F(DriftTest, ACancelledOneTellsWhatItHas) {
  for (int i = 1; i <= 3; ++i) save({{"w", ramp(100, static_cast<float>(i))}});
  std::vector<std::uint64_t> done;
  HistoryOptions options;
  options.progress = [&](const VerifyProgress& now) {
    EXPECT_EQ(now.bytes_total, 1200u);
    done.push_back(now.bytes_done);
  };
  options.cancelled = [&] { return done.size() == 2; };
  const DriftReport report = drift_of("w", options);
  EXPECT_FALSE(report.complete);
  EXPECT_EQ(done, (std::vector<std::uint64_t>{400, 800}));
  ASSERT_EQ(report.steps.size(), 3u);
  EXPECT_EQ(report.steps[1].tensors.size(), 1u);
  EXPECT_TRUE(report.steps[2].tensors.empty());
}

}  // namespace
}  // namespace ckp

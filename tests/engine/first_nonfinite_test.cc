// The first checkpoint with a NaN or an infinity, against what reading every tensor tells.
#include <limits>
#include <random>

#include "ckp/history.h"
#include "history_fixture.h"
#include "sample_states.h"
#include "support/seed.h"

namespace ckp {
namespace {

constexpr float bad_number = std::numeric_limits<float>::quiet_NaN();
constexpr float endless = std::numeric_limits<float>::infinity();

class FirstNonfiniteTest : public test::HistoryTest {
 protected:
  FirstNonfinite find(const std::string& only = {}, const HistoryOptions& given = {}) {
    HistoryOptions options = given;
    options.only = only;
    return find_first_nonfinite(store(), checkpoints(), options);
  }
  static std::vector<float> spoilt(std::vector<float> values, std::size_t at, float value) {
    values.at(at) = value;
    return values;
  }
};

TEST_F(FirstNonfiniteTest, NamesCheckpointTensorsElementAndTheLastGoodOne) {
  const auto good = ramp(3000, 1);
  save({{"m/b", {1, 2}}, {"m/w", good}});
  save({{"m/b", {1, 3}}, {"m/w", good}});
  save({{"m/b", {1, -endless}}, {"m/w", spoilt(spoilt(good, 2999, endless), 1500, bad_number)}});
  save({{"m/b", {bad_number, 1}}, {"m/w", good}});
  const FirstNonfinite found = find();
  ASSERT_TRUE(found.checkpoint.has_value());
  EXPECT_EQ(found.checkpoint->id, checkpoints()[2].id);
  ASSERT_TRUE(found.last_good.has_value());
  EXPECT_EQ(found.last_good->id, checkpoints()[1].id);
  EXPECT_EQ(found.checkpoints_read, 3u) << "what comes later is not looked at";
  ASSERT_EQ(found.tensors.size(), 2u);
  EXPECT_EQ(found.tensors[0].name, "m/b");
  EXPECT_EQ(found.tensors[0].first.number, 1u);
  EXPECT_FALSE(found.tensors[0].first.nan);
  EXPECT_EQ(found.tensors[1].name, "m/w");
  EXPECT_EQ(found.tensors[1].first.number, 1500u);
  EXPECT_TRUE(found.tensors[1].first.nan);
  EXPECT_EQ(found.tensors[1].type, (TensorType{DType::float32, {3000}}));
  EXPECT_TRUE(found.complete);
  EXPECT_TRUE(found.damage.empty());
  test::expect_error(ErrorCode::not_found, "closest names: m/b, m/w", [&] { find("m/v"); });
}

// Halving would end at the last one.
TEST_F(FirstNonfiniteTest, ANaNThatGoesAwayIsFound) {
  for (int epoch = 1; epoch <= 8; ++epoch) {
    const auto values = ramp(2000, static_cast<float>(epoch));
    save({{"w", epoch == 2 || epoch == 8 ? spoilt(values, 7, bad_number) : values}});
  }
  EXPECT_EQ(find().checkpoint->id, checkpoints()[1].id);
  EXPECT_EQ(find("w").last_good->id, checkpoints()[0].id);
}

// Its chunk is the one that was finite, with changed rows on top.
TEST_F(FirstNonfiniteTest, ANaNInAChangedRowIsFound) {
  const auto good = ramp(40'000, 1);
  const auto patches_of = [&](const CheckpointRecord& record) {
    return store().open_checkpoint(record).manifest().patches.size();
  };
  save({{"w", good}});
  save({{"w", spoilt(good, 7, 2)}});
  EXPECT_EQ(patches_of(save({{"w", spoilt(good, 7, 2)}})), 1u);
  EXPECT_EQ(find().bytes_read, 2 * 160'000u) << "the third is the second";
  EXPECT_EQ(patches_of(save({{"w", spoilt(good, 12'345, bad_number)}})), 2u);
  const FirstNonfinite found = find();
  ASSERT_TRUE(found.checkpoint.has_value());
  EXPECT_EQ(found.checkpoint->id, checkpoints()[3].id);
  EXPECT_EQ(found.tensors.at(0).first.number, 12'345u);
}

TEST_F(FirstNonfiniteTest, OnlyTheWantedTensorsCount) {
  save({{"a", {bad_number}}, {"b", {1}}});
  save({{"a", {1}}, {"b", {endless}}});
  EXPECT_EQ(find("b").checkpoint->id, checkpoints()[1].id);
  EXPECT_EQ(find("a").checkpoint->id, checkpoints()[0].id);
  EXPECT_FALSE(find("a").last_good.has_value());
}

TEST_F(FirstNonfiniteTest, AllFiniteIsAnAnswer) {
  save({{"a", ramp(5000, 1)}});
  save({{"a", ramp(5000, 2)}});
  const FirstNonfinite found = find();
  EXPECT_FALSE(found.checkpoint.has_value());
  EXPECT_EQ(found.last_good->id, checkpoints()[1].id);
  EXPECT_EQ(found.checkpoints_read, 2u);
}

// The first in memory is [2, 0], the first of the tensor [1, 1].
TEST_F(FirstNonfiniteTest, TheFirstElementIsThatOfTheShapeNotOfTheMemory) {
  const std::vector<float> memory{1, 1, endless, 1, bad_number, 1};
  std::vector<std::byte> bytes(memory.size() * sizeof(float));
  std::memcpy(bytes.data(), memory.data(), bytes.size());
  StateDict state;
  state.add("t", test::view_of(bytes, DType::float32, {3, 2}, {1, 3}));
  save_state(state);
  const FirstNonfinite found = find();
  ASSERT_EQ(found.tensors.size(), 1u);
  EXPECT_EQ(found.tensors[0].first.number, 3u);
  EXPECT_EQ(found.tensors[0].first.index, (std::vector<std::int64_t>{1, 1}));
  EXPECT_TRUE(found.tensors[0].first.nan);
}

// As int32 it is no float, as float32 it is finite, as float16 every other element is infinite.
TEST_F(FirstNonfiniteTest, TheSameBytesAreWhatTheirTypeMakesOfThem) {
  const std::vector<std::uint32_t> words(2048, 0x7c00);
  const auto* const at = words.data();
  StateDict integers, floats, halves;
  integers.add("t", contiguous_view(DType::int32, {2048}, at));
  floats.add("t", contiguous_view(DType::float32, {2048}, at));
  halves.add("t", contiguous_view(DType::float16, {4096}, at));
  save_state(integers);
  save_state(floats);
  save_state(halves);
  EXPECT_LT(checkpoints()[2].file_size, 8192u) << "one chunk for all";
  const FirstNonfinite found = find();
  ASSERT_TRUE(found.checkpoint.has_value());
  EXPECT_EQ(found.checkpoint->id, checkpoints()[2].id);
  EXPECT_EQ(found.tensors[0].first.number, 0u);
  EXPECT_EQ(found.last_good->id, checkpoints()[1].id);
}

// The flag of a checkpoint leaves out what its trainer has excluded.
TEST_F(FirstNonfiniteTest, TensorsWithoutACheckOfTheirOwnAreLookedAt) {
  const std::vector<float> mask{0, -endless};
  StateDict state;
  TensorView view = contiguous_view(DType::float32, {2}, mask.data());
  view.check_finite = false;
  state.add("mask", view);
  EXPECT_FALSE(save_state(state).nonfinite);
  EXPECT_EQ(find().tensors.at(0).first.number, 1u);
}

// Large and small chunks, the short end of a tensor, and chunks that two tensors share.
TEST_F(FirstNonfiniteTest, WhatWasFiniteOnceIsNotReadAgain) {
  const auto large = ramp(4100, 1);
  save({{"large", large}, {"same", large}, {"small", {1, 2, 3}}});
  const std::uint64_t once = find().bytes_read;
  EXPECT_EQ(once, 4100 * 4 + 12u);
  const CheckpointRecord last = save({{"large", large}, {"other", large}, {"small", {1, 2, 3}}});
  EXPECT_EQ(find().bytes_read, once);
  // Spoilt once they were read, and nobody notices.
  bool damaged = false;
  HistoryOptions options;
  options.progress = [&](const VerifyProgress&) {
    if (!damaged) {
      damage("large", last, 2);
      damage("small", last);
    }
    damaged = true;
  };
  const FirstNonfinite found = find("", options);
  EXPECT_TRUE(found.damage.empty());
  EXPECT_EQ(found.last_good->id, last.id);
  EXPECT_EQ(find().damage.size(), 2u);
}

TEST_F(FirstNonfiniteTest, DamageBeforeTheAnswerIsNamed) {
  save({{"w", wave(2000, 1.1f)}});
  const CheckpointRecord second = save({{"v", {1}}, {"w", wave(2000, 1.3f)}});
  const CheckpointRecord third = save({{"w", wave(2000, 1.7f)}});
  save({{"w", spoilt(wave(2000, 1.9f), 0, bad_number)}});
  damage("w", second);
  std::filesystem::resize_file(file_of(third), 200);
  const FirstNonfinite found = find();
  EXPECT_EQ(found.checkpoint->id, checkpoints()[3].id);
  EXPECT_EQ(found.last_good->id, checkpoints()[0].id);
  ASSERT_EQ(found.damage.size(), 2u);
  EXPECT_NE(found.damage[0].find(second.id.hex()), std::string::npos);
  EXPECT_NE(found.damage[1].find(third.id.hex()), std::string::npos);
  EXPECT_EQ(find("v").damage.size(), 1u) << "the damaged tensor is not asked for";
}

TEST_F(FirstNonfiniteTest, ACancelledSearchSaysSo) {
  save({{"a", {1}}});
  save({{"a", {bad_number}}});
  HistoryOptions options;
  int asked = 0;
  options.cancelled = [&] { return ++asked == 2; };
  const FirstNonfinite found = find("", options);
  EXPECT_FALSE(found.complete);
  EXPECT_FALSE(found.checkpoint.has_value());
  EXPECT_EQ(found.last_good->id, checkpoints()[0].id);
  EXPECT_EQ(found.checkpoints_read, 1u);
}

TEST_F(FirstNonfiniteTest, SaysWhatReadingEveryTensorTells) {
  std::mt19937_64 random(test::seed(12));
  const auto pick = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
  for (int epoch = 0; epoch < 12; ++epoch) {
    Values values;
    for (const char* name : {"a", "b", "c"}) {
      values[name] = ramp(1 + pick(3) * 1500, static_cast<float>(pick(3)));
      if (epoch > 3 && pick(8) == 0) values[name][pick(values[name].size())] = bad_number;
    }
    save(values);
  }
  for (std::size_t from = 0; from < checkpoints().size(); ++from) {
    const auto some = std::span(checkpoints()).subspan(from);
    std::optional<CheckpointRecord> first;
    std::map<std::string, std::uint64_t> elements;
    for (const CheckpointRecord& record : some) {
      const Checkpoint checkpoint = store().open_checkpoint(record);
      for (const auto& tensor : checkpoint.manifest().tensors) {
        const auto bytes = checkpoint.read(tensor.name);
        for (std::size_t i = 0; i < bytes.size(); i += sizeof(float)) {
          if (!has_nonfinite(DType::float32, bytes.data() + i, sizeof(float))) continue;
          elements.emplace(tensor.name, i / sizeof(float));
        }
      }
      if (elements.empty()) continue;
      first = record;
      break;
    }
    const FirstNonfinite found = find_first_nonfinite(store(), some);
    ASSERT_EQ(found.checkpoint, first) << "from " << from;
    ASSERT_EQ(found.tensors.size(), elements.size());
    for (const NonfiniteTensor& tensor : found.tensors) {
      EXPECT_EQ(tensor.first.number, elements.at(tensor.name));
    }
  }
}

}  // namespace
}  // namespace ckp

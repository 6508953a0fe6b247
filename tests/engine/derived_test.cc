// What is saved of states with 16-bit weights and their masters: the weights take no bytes.
#include "engine/derived_fixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

namespace ckp {
namespace {

using test::DerivedTest;
using test::expect_holds;

TEST_F(DerivedTest, TheRoundingOfAMasterTakesNoBytes) {
  for (const Rounding rounding : {Rounding::bfloat16, Rounding::float16}) {
    round(rounding);
    ckp::Run run = store_.create_run({.name = rounding == Rounding::float16 ? "half" : "brain"});
    const SaveReport first = save_all(run);
    EXPECT_EQ(first.chunks_derived, weight_chunks);
    EXPECT_EQ(first.chunks_written + first.chunks_shared, float_chunks + bias_chunks);
    const Checkpoint checkpoint = open(first);
    const auto& manifest = checkpoint.manifest();
    ASSERT_EQ(manifest.derived.size(), weight_chunks);
    EXPECT_EQ(manifest.derived[0].source, manifest.find("optimizer/z")->storage);
    EXPECT_EQ(manifest.derived[0].storage, manifest.find("model/w")->storage);
    EXPECT_EQ(manifest.derived[0].rounding, rounding);
    for (int i = 0; i < 4; ++i) {  // differences on the master, and whole again
      EXPECT_EQ(train_and_save(run).chunks_derived, weight_chunks);
    }
  }
  EXPECT_EQ(store_.stats().needed.derived, 2 * 5 * weights_.size() * 2);
  expect_sound();
}

TEST_F(DerivedTest, WhatIsNotExactlyTheRoundingIsStored) {
  ckp::Run run = store_.create_run({.name = "bits"});
  weights_[elements_of_chunk] ^= 1;  // the second chunk
  weights_[weights_.size() - 2] ^= 0x8000;
  const SaveReport report = save_all(run);
  EXPECT_EQ(report.chunks_derived, weight_chunks - 2);
  train();
  for (std::size_t i = 0; i < weights_.size(); ++i) {  // stochastic: half of them up, or down
    const auto bits = std::bit_cast<std::uint32_t>(masters_[i]);
    weights_[i] = static_cast<std::uint16_t>((bits + (random_() & 0xffff)) >> 16);
  }
  EXPECT_EQ(save_all(run).chunks_derived, 0u);
  EXPECT_EQ(train_and_save(run).chunks_derived, weight_chunks);
  for (std::size_t i = 0; i < weights_.size(); ++i) {  // cut off
    weights_[i] = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(masters_[i]) >> 16);
  }
  EXPECT_EQ(save_all(run).chunks_derived, 0u);
  expect_sound();
}

TEST_F(DerivedTest, SpecialNumbers) {
  const std::uint32_t words[] = {0x7f800000, 0xff800000, 0x80000000, 1,          0x807fffff, 0,
                                 0x7f7fffff, 0x477fefff, 0x477ff000, 0x33000000, 0x33000001};
  for (std::size_t i = 0; i < masters_.size(); ++i) {
    if (i % 3 == 0) masters_[i] = std::bit_cast<float>(words[i / 3 % std::size(words)]);
  }
  for (const Rounding rounding : {Rounding::bfloat16, Rounding::float16}) {
    ckp::Run run = store_.create_run({.name = rounding == Rounding::float16 ? "half" : "brain"});
    round(rounding);
    const SaveReport report = save_all(run);
    EXPECT_EQ(report.chunks_derived, weight_chunks);
    EXPECT_TRUE(report.checkpoint.nonfinite);
    // A NaN as this library rounds it, and with a payload that some processor makes.
    masters_[7] = std::numeric_limits<float>::quiet_NaN();
    round(rounding);
    EXPECT_EQ(save_all(run).chunks_derived, weight_chunks);
    weights_[7] = static_cast<std::uint16_t>(weights_[7] | 0x3f);
    EXPECT_EQ(save_all(run).chunks_derived, weight_chunks - 1);
    masters_[7] = 1;
  }
  expect_sound();
}

TEST_F(DerivedTest, ANonfiniteOneIsSeen) {
  ckp::Run run = store_.create_run({.name = "inf"});
  for (const bool is_infinite : {true, true, false}) {
    masters_[77] = is_infinite ? std::numeric_limits<float>::infinity() : 1.0f;
    round();
    const StateDict state = dict();
    TensorView masters = of_floats(masters_);
    masters.check_finite = false;
    StateDict checked;
    checked.add("model/w", state.tensors().at("model/w"));
    checked.add("optimizer/z", masters);
    const SaveReport report = run.save(checked, {.encode = encode_}).wait();
    EXPECT_EQ(report.chunks_derived, weight_chunks);
    EXPECT_EQ(report.checkpoint.nonfinite, is_infinite);
  }
}

TEST_F(DerivedTest, OddSizesAndViews) {
  ckp::Run run = store_.create_run({.name = "odd"});
  for (const std::size_t size : {32'768u, 32'769u, 65'537u, 99'999u}) {
    masters_.resize(size);
    round();
    StateDict state;
    const auto count = static_cast<std::int64_t>(size);
    const TensorView weights = contiguous_view(DType::bfloat16, {count}, weights_.data());
    TensorView odd = weights;  // begins and ends inside of elements
    odd.dtype = DType::uint8;
    odd.shape = {30'003};
    odd.storage_offset = 20'001;
    TensorView column = weights;
    column.shape = {count / 3};
    column.strides = {3};
    TensorView pairs = weights;
    pairs.shape = {100, 2};
    pairs.strides = {1, 100};
    pairs.storage_offset = 31'000;
    state.add("model/w", weights);
    state.add("model/odd", odd);
    state.add("model/column", column);
    state.add("model/pairs", pairs);
    state.add("optimizer/z", of_floats(masters_));
    const SaveReport report = run.save(state, {.encode = encode_}).wait();
    EXPECT_EQ(report.chunks_derived, (size + elements_of_chunk - 1) / elements_of_chunk);
    expect_holds(open(report), state);
  }
  expect_sound();
}

TEST_F(DerivedTest, WhatHasNotChangedStaysDerived) {
  ckp::Run run = store_.create_run({.name = "frozen"});
  save_all(run);
  for (int i = 0; i < 3; ++i) {
    const SaveReport same = save_all(run);
    EXPECT_EQ(same.chunks_derived, weight_chunks);
    EXPECT_EQ(same.chunks_written, 0u);
    EXPECT_EQ(same.bytes_copied, 0u);
  }
  encode_.compression = format::Compression::none;  // finds nothing new, and forgets nothing
  EXPECT_EQ(save_all(run).chunks_derived, weight_chunks);
  EXPECT_EQ(train_and_save(run).chunks_derived, 0u);
  EXPECT_EQ(save_all(run).chunks_derived, 0u);
  expect_sound();
}

TEST_F(DerivedTest, AMasterThatMovesBelowTheRounding) {
  ckp::Run run = store_.create_run({.name = "slow"});
  save_all(run);
  masters_[5] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(masters_[5]) ^ 1);
  const Halves before = weights_;
  round();
  ASSERT_TRUE(before == weights_);
  const SaveReport report = save_all(run);
  EXPECT_EQ(report.chunks_derived, weight_chunks);
  EXPECT_EQ(report.chunks_written, 0u);  // a patch on the master
  expect_sound();
}

// The weights are of this save, and so is what their master is when it was not copied.
TEST_F(DerivedTest, AFewRowsOfBoth) {
  ckp::Run run = store_.create_run({.name = "sparse"});
  save_all(run);
  for (int i = 0; i < 6; ++i) {
    masters_[random_() % masters_.size()] += 1;
    masters_[1 + random_() % 100] += 1;
    round();
    const SaveReport report = save_all(run);
    EXPECT_EQ(report.chunks_derived, weight_chunks);
    EXPECT_EQ(report.chunks_written, 0u);
    EXPECT_EQ(report.patches_written, 1u);
  }
  expect_sound();
}

TEST_F(DerivedTest, WeightsThatLeaveTheirMaster) {
  ckp::Run run = store_.create_run({.name = "apart"});
  save_all(run);
  const std::uint16_t was = weights_[3];
  weights_[3] ^= 4;  // the master has not changed
  const SaveReport apart = save_all(run);
  EXPECT_EQ(apart.chunks_derived, weight_chunks - 1);
  EXPECT_EQ(apart.chunks_written, 1u);
  EXPECT_EQ(save_all(run).chunks_derived, weight_chunks - 1);
  weights_[3] ^= 2;
  EXPECT_EQ(save_all(run).chunks_derived, weight_chunks - 1);
  weights_[3] = was;
  EXPECT_EQ(save_all(run).chunks_derived, weight_chunks);
  masters_[4] += 1;  // and now it is the master that goes
  const SaveReport gone = save_all(run);
  EXPECT_EQ(gone.chunks_derived, weight_chunks - 1);
  round();
  EXPECT_EQ(save_all(run).chunks_derived, weight_chunks);
  expect_sound();
}

TEST_F(DerivedTest, EqualBeginningsOfOthers) {
  ckp::Run run = store_.create_run({.name = "zeros"});
  for (Floats* all : {&masters_, &moments_, &squares_}) std::ranges::fill(*all, 0.0f);
  round();
  EXPECT_EQ(save_all(run).chunks_derived, weight_chunks);  // of any of them
  for (Floats* all : {&masters_, &moments_, &squares_}) {
    for (float& one : *all) one = normal_(random_);
  }
  EXPECT_EQ(train_and_save(run).chunks_derived, weight_chunks);
  // Two that agree with the master in the elements that are looked at, and not in all others.
  moments_ = masters_;
  moments_[1] += 1;
  squares_ = masters_;
  squares_[70'000] += 1;
  ckp::Run other = store_.create_run({.name = "almost equal"});
  EXPECT_EQ(save_all(other).chunks_derived, weight_chunks);
  EXPECT_EQ(train_and_save(other).chunks_derived, weight_chunks);
  expect_sound();
}

TEST_F(DerivedTest, AnotherProcessGoesOn) {
  std::optional<ckp::Run> run = store_.create_run({.name = "resumed"});
  save_all(*run);
  run.reset();
  run = store_.resume_run("resumed");
  EXPECT_EQ(train_and_save(*run).chunks_derived, weight_chunks);
  EXPECT_EQ(save_all(*run).chunks_written, 0u);
  expect_sound();
}

TEST_F(DerivedTest, EarlierCheckpointsArePruned) {
  ckp::Run run = store_.create_run({.name = "pruned"});
  save_all(run);
  for (int i = 0; i < 6; ++i) {
    if (i % 3 == 1) {
      masters_[9] += 1;
      round();
    } else {
      train();
    }
    const SaveReport last = save_all(run);
    EXPECT_EQ(last.chunks_derived, weight_chunks);
    store_.prune({.last = 1}, {}, {.waste_threshold = 0.01});
    expect_loads(last);
    expect_sound();
  }
  for (const bool change : {false, true}) {  // the last one goes, too
    std::vector<Uuid> all;
    for (const auto& one : store_.checkpoints(store_.run("pruned").id)) all.push_back(one.id);
    store_.remove_checkpoints(all);
    if (change) {
      masters_[9] += 1;
      round();
    }
    EXPECT_EQ(save_all(run).chunks_derived, weight_chunks);
    expect_sound();
  }
}

// Pairs that come, part, change in places or not at all; they are cut differently, and pruned.
TEST_F(DerivedTest, AnyStatesAndAnyPrunes) {
  ckp::Run run = store_.create_run({.name = "any"});
  std::uint64_t derived = 0, stored = 0;
  for (int round_number = 0; round_number < 80; ++round_number) {
    switch (random_() % 8) {
      case 0:
      case 1:
        train();
        break;
      case 2:
        for (int i = 0; i < 5; ++i) masters_[random_() % masters_.size()] *= 1.5f;
        round(rounding_);
        break;
      case 3:
        weights_[random_() % weights_.size()] ^= 1;
        break;
      case 4:
        masters_[random_() % masters_.size()] *= 1.5f;
        break;
      case 5:
        round(random_() % 4 == 0 ? Rounding::float16 : Rounding::bfloat16);
        break;
      case 6:
        std::swap(masters_, random_() % 2 == 0 ? moments_ : squares_);
        break;
      default:
        break;
    }
    encode_.chunk_size = random_() % 8 == 0 ? 32u << 10 : 64u << 10;
    const SaveReport report = save_all(run);
    (report.chunks_derived > 0 ? derived : stored) += 1;
    if (random_() % 4 == 0) store_.prune({.last = static_cast<std::uint32_t>(1 + random_() % 6)});
  }
  EXPECT_GT(derived, 10u);
  EXPECT_GT(stored, 0u);
  expect_sound();
}

}  // namespace
}  // namespace ckp

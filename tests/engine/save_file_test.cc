#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>

#include "ckp/load.h"
#include "ckp/save.h"
#include "engine/sample_states.h"
#include "support/expect_error.h"
#include "support/faulty_file_system.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::expect_error;
using test::expect_holds;
using test::view_of;

// A few kinds of tensors and values in some kilobytes.
struct SavedState {
  std::vector<std::byte> weight = test::random_bytes(3000, 1);
  std::vector<std::byte> moments = std::vector<std::byte>(2048);
  std::vector<std::byte> steps = test::random_bytes(8, 3);
  StateDict state;
  SavedState() {
    for (std::size_t i = 3; i < moments.size(); i += 4) moments[i] = std::byte{0x3d};
    state.add("model/fc1.weight", view_of(weight, DType::float32, {25, 30}, {30, 1}));
    state.add("model/fc1.weight_t", view_of(weight, DType::float32, {30, 25}, {1, 30}));
    state.add("optimizer/fc1.weight/exp_avg", view_of(moments, DType::float32, {512}, {1}));
    state.add("optimizer/fc1.weight/step", view_of(steps, DType::int64, {}, {}));
    state.add("sampler/none", contiguous_view(DType::int64, {0}, nullptr));
    state.set("progress/epoch", 3);
    state.set("scheduler/lr", 1e-3);
  }
};

TEST(SaveFile, WhatGoesInComesOut) {
  const test::TemporaryDirectory directory;
  const SavedState small;
  SaveOptions options;
  options.epoch = 12;
  options.step = 3400;
  options.metrics = {{"val/loss", 0.25}, {"val/nan", std::nan("0x7")}};
  options.tags = {{"team", "ranking"}};
  options.final = true;
  const auto report = save_file(directory / "a.ckp", small.state, options);
  EXPECT_EQ(report.path, directory / "a.ckp");
  EXPECT_EQ(report.bytes_written, std::filesystem::file_size(directory / "a.ckp"));

  const Checkpoint checkpoint = open_file(directory / "a.ckp");
  expect_holds(checkpoint, small.state);
  EXPECT_EQ(checkpoint.name(), (directory / "a.ckp").string());
  const CheckpointRecord& record = checkpoint.record();
  EXPECT_TRUE(record == report.checkpoint);
  EXPECT_EQ(record.epoch, 12);
  EXPECT_EQ(record.step, 3400);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(record.metrics.at("val/nan")),
            std::bit_cast<std::uint64_t>(std::nan("0x7")));
  EXPECT_EQ(record.tags.at("team").as_string(), "ranking");
  EXPECT_TRUE(record.final);
  EXPECT_FALSE(record.id.is_nil());
  EXPECT_TRUE(record.run.is_nil());
  EXPECT_EQ(record.commit, 0u);
  EXPECT_EQ(record.tensor_count, 5u);
  EXPECT_EQ(record.tensor_bytes, 3000u + 2048 + 8);
  EXPECT_EQ(record.file_size, report.bytes_written);
  EXPECT_NE(record.writer.find("ckpstore "), std::string::npos);
}

TEST(SaveFile, AnEmptyStateIsAState) {
  const test::TemporaryDirectory directory;
  save_file(directory / "a.ckp", StateDict());
  expect_holds(open_file(directory / "a.ckp"), StateDict());
}

TEST(SaveFile, SaysWhetherItIsNonfinite) {
  const test::TemporaryDirectory directory;
  const std::vector<std::byte> ones(64, std::byte{0xff});
  StateDict state;
  state.add("w", view_of(ones, DType::float32, {16}, {1}));
  EXPECT_TRUE(save_file(directory / "a.ckp", state).checkpoint.nonfinite);
  EXPECT_TRUE(open_file(directory / "a.ckp").record().nonfinite);
}

TEST(SaveFile, ReplacesAnOlderFile) {
  const test::TemporaryDirectory directory;
  const SavedState small;
  save_file(directory / "a.ckp", StateDict());
  const auto first = open_file(directory / "a.ckp");
  save_file(directory / "a.ckp", small.state);
  expect_holds(open_file(directory / "a.ckp"), small.state);
  expect_holds(first, StateDict());  // an open file stays what it was
  EXPECT_EQ(posix_file_system()->list(directory.path()), std::vector<std::string>{"a.ckp"});
}

TEST(SaveFile, EveryFlippedByteIsFoundOrHarmless) {
  const test::TemporaryDirectory directory;
  const SavedState small;
  save_file(directory / "a.ckp", small.state);
  auto bytes = test::read_bytes(directory / "a.ckp");
  std::fstream file(directory / "a.ckp", std::ios::binary | std::ios::in | std::ios::out);
  const auto flip = [&](std::size_t at) {
    bytes[at] ^= static_cast<std::byte>(1 << at % 8);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(bytes[at])).flush();
  };
  std::size_t found = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    flip(at);
    try {
      expect_holds(open_file(directory / "a.ckp"), small.state);
    } catch (const Error& error) {
      ++found;
      EXPECT_NE(std::string(error.what()).find("a.ckp"), std::string::npos) << error.what();
    }
    ASSERT_FALSE(HasFailure()) << "byte " << at;
    flip(at);
  }
  expect_holds(open_file(directory / "a.ckp"), small.state);
  EXPECT_GT(found, 3000u);  // at least every byte of the weights
}

TEST(SaveFile, EveryTruncationIsFound) {
  const test::TemporaryDirectory directory;
  const SavedState small;
  save_file(directory / "a.ckp", small.state);
  const std::size_t size = test::read_bytes(directory / "a.ckp").size();
  for (std::size_t length = size; length-- > 0;) {
    std::filesystem::resize_file(directory / "a.ckp", length);
    expect_error(ErrorCode::corrupt, "a.ckp", [&] { open_file(directory / "a.ckp"); });
    ASSERT_FALSE(HasFailure()) << length << " bytes";
  }
}

TEST(SaveFile, NoFileIsNotFound) {
  const test::TemporaryDirectory directory;
  expect_error(ErrorCode::not_found, "none.ckp", [&] { open_file(directory / "none.ckp"); });
  expect_error(ErrorCode::not_found, "none",
               [&] { save_file(directory / "none" / "a.ckp", StateDict()); });
}

// Every operation fails once: the old file is intact and nothing else is left behind, or the save
// was complete.
TEST(SaveFile, AFailureLeavesTheOldFile) {
  for (const bool forever : {false, true}) {
    const test::TemporaryDirectory directory;
    const SavedState old_state, new_state;
    const auto path = directory / "a.ckp";
    StateDict changed = new_state.state;
    changed.set("progress/epoch", 4);
    for (std::uint64_t at = 1;; ++at) {
      save_file(path, old_state.state);
      const auto fs =
          std::make_shared<test::FaultyFileSystem>(posix_file_system(), directory.path());
      test::Fault fault;
      fault.at = at;
      fault.code = at % 2 == 0 ? ErrorCode::io : ErrorCode::out_of_space;
      fault.forever = forever;
      fault.torn_write = at % 3 == 0;
      fs->plan(fault);
      bool failed = false;
      try {
        save_file(path, changed, {}, fs);
      } catch (const Error& error) {
        failed = true;
        EXPECT_EQ(error.code(), fault.code) << error.what();
      }
      const auto operations = fs->failures();
      const Checkpoint left = open_file(path);
      // After a failed sync of the directory the new file may already be the visible one.
      const bool is_new = find_value(left.values(), "progress/epoch")->as_int() == 4;
      expect_holds(left, is_new ? changed : old_state.state);
      EXPECT_TRUE(failed || is_new) << "operation " << at;
      if (!forever) {
        EXPECT_EQ(posix_file_system()->list(directory.path()), std::vector<std::string>{"a.ckp"})
            << "operation " << at;
      }
      ASSERT_FALSE(HasFailure()) << "operation " << at;
      for (const auto& name : posix_file_system()->list(directory.path())) {
        if (name != "a.ckp") std::filesystem::remove(directory / name);
      }
      if (operations == 0) {
        EXPECT_FALSE(failed);
        EXPECT_GT(at, 5u);
        break;
      }
      ASSERT_LT(at, 1000u);
    }
  }
}

}  // namespace
}  // namespace ckp

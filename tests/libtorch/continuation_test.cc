// What each part of a state is good for, in processes of their own: with all parts the continuation
// is the same training bit for bit, and without any one of them it is not.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/temporary_directory.h"
#include "trainer_process.h"

namespace ckp::test {
namespace {

using Lines = std::vector<std::string>;

Lines run_trainer(const std::vector<std::string>& arguments) {
  TrainerProcess process(arguments, "ckp_part_trainer");
  EXPECT_EQ(process.wait(), 0) << process.errors();
  for (const std::string& line : process.lines()) {  // exponent and quiet bit of a NaN
    EXPECT_FALSE(line.ends_with("nan") || line.find(" 7ff") != std::string::npos) << line;
  }
  return process.lines();
}

// What follows the n-th line that says this.
Lines after(const Lines& lines, const std::string& text, int number) {
  auto place = lines.begin();
  for (int i = 0; i < number && place != lines.end(); ++i) {
    place = std::find(place, lines.end(), text);
    if (place != lines.end()) ++place;
  }
  Lines rest(place, lines.end());
  std::erase(rest, "saved");
  return rest;
}

struct Case {
  std::string optimizer;
  Lines parts;  // each is left out once
};

const Case cases[] = {
    {"AdamW",
     {"optimizer", "weights", "buffers", "step_lr", "cosine", "plateau", "grad_scaler", "ema",
      "swa", "swa_lr", "random", "augmentation", "sampler", "progress", "history", "normalization",
      "best", "early"}},
    {"SGD", {"optimizer"}},
    {"Adam", {"optimizer"}},
    {"RMSprop", {"optimizer"}},
    {"Adagrad", {"optimizer"}},
    {"LBFGS", {"optimizer"}},
};

class Continuation : public ::testing::TestWithParam<Case> {};

TEST_P(Continuation, IsTheSameWithAllPartsAndAnotherWithoutAnyOne) {
  const auto& [optimizer, parts] = GetParam();
  TemporaryDirectory folder;
  const Lines whole = run_trainer({optimizer, "whole", folder.path().string()});
  ASSERT_EQ(std::count(whole.begin(), whole.end(), "saved"), 2);
  int number = 0;
  for (const char* where : {"epoch.ckp", "middle.ckp"}) {
    const Lines expected = after(whole, "saved", ++number);
    EXPECT_GT(expected.size(), 9u);
    auto resume = [&](const std::string& without) {
      std::vector<std::string> words{optimizer, "resume", (folder / where).string()};
      if (!without.empty()) words.push_back(without);
      return after(run_trainer(words), "resumed", 1);
    };
    EXPECT_EQ(resume(""), expected) << where;
    for (const std::string& part : parts) {
      const Lines without = resume(part);
      EXPECT_FALSE(without.empty()) << part << ", " << where;
      EXPECT_NE(without, expected) << "without " << part << " nothing is different, " << where;
    }
  }
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) { return info.param.optimizer; }
INSTANTIATE_TEST_SUITE_P(Processes, Continuation, ::testing::ValuesIn(cases), name_of);

}  // namespace
}  // namespace ckp::test

// A rehearsal: does a resume from this state lead to the same training?
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ckp/libtorch/training_state.h"

namespace ckp::libtorch {

struct ResumeProof {
  bool proven = false;
  std::int64_t steps = 0;
  // What differs first, by name: "optimizer/fc1.weight/exp_avg", "sampler/position", or
  // "train/loss of step 2".
  std::string difference;
  // "resume proven over 3 steps", or "resume NOT proven: ... differs ...".
  std::string text() const;
};

// Steps are run twice, by the caller, from the same saved state:
//
//   ResumeCheck check(state, 3);
//   do { loss = one_step(); check.step({{"loss", loss}}); } while (!check.end_of_step());
//
// Needs a file of the state's size in the temporary directory. `state` is copied; what it refers to
// must live on.
class ResumeCheck {
 public:
  // Saves the state.
  ResumeCheck(const TrainingState& state, std::int64_t steps);
  ~ResumeCheck();
  ResumeCheck(const ResumeCheck&) = delete;
  ResumeCheck& operator=(const ResumeCheck&) = delete;

  // What a step has computed. Doubles are compared by their bits.
  void step(const std::map<std::string, double>& metrics);
  // Call it at the end of each step; `last`: no other step can be run, so that the check makes do
  // with those there were. After the first half it scrambles the random generators and restores the
  // state, in place; after the second one there is a proof, or the contrary.
  std::optional<ResumeProof> end_of_step(bool last = false);
  // Whether the steps are still those that will be undone.
  bool in_first_half() const { return first_ == nullptr; }

 private:
  struct Outcome;
  Outcome outcome() const;
  ResumeProof compare(const Outcome& again) const;

  TrainingState state_;
  std::int64_t steps_;
  std::int64_t done_ = 0;
  std::vector<std::map<std::string, double>> metrics_;
  std::filesystem::path folder_;
  std::unique_ptr<Outcome> first_;  // of the first half
};

}  // namespace ckp::libtorch

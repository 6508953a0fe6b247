// What the trainer prints: lines for people, or JSON lines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ckp/save.h"

namespace example {

struct EpochResult {
  std::int64_t epoch = 0;  // completed
  std::int64_t step = 0;
  double train_loss = 0;
  double val_loss = 0;
  double val_accuracy = 0;
  std::string weights_digest;
};

// Each line is flushed at once, for whoever watches through a pipe.
class Output {
 public:
  explicit Output(bool json) : json_(json) {}
  // "resumed from step K", 0 for a fresh start, and `certificate`. In JSON only what was skipped,
  // on the standard error stream.
  void resumed(std::int64_t step, const std::string& certificate,
               const std::vector<std::string>& skipped);
  // Not in JSON.
  void saved(const ckp::SaveReport& report);
  // In both.
  void epoch(const EpochResult& result, std::int64_t epochs);
  void final(const EpochResult& result);
  // To standard error.
  void note(const std::string& text);

 private:
  void line(const std::string& text);
  bool json_;
};

}  // namespace example

// The rules of what to keep, as options: of prune and policy.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "ckp/retention.h"

namespace ckp::tool {

class KeepOptions {
 public:
  // It must outlive `command`.
  void add_to(CLI::App& command);
  // Whether any was given.
  bool given() const;
  // Throws Error(invalid_argument) that names what a value should look like.
  KeepPolicy policy() const;

 private:
  std::vector<CLI::Option*> options_;
  std::uint32_t last_ = 0, daily_ = 0;
  std::vector<std::string> best_, every_, tags_;
  std::string within_;
};

// {"--keep-last", "3", ...}: what gives this policy again. Unquoted.
std::vector<std::string> keep_arguments(const KeepPolicy& policy);
// The same as one line, to be typed.
std::string keep_line(const KeepPolicy& policy);

}  // namespace ckp::tool

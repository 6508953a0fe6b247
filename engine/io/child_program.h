// Another program, run to its end or to the end of its time, without a shell.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace ckp {

struct ChildProgram {
  std::vector<std::string> arguments;  // [0] is looked up in $PATH
  std::vector<std::string> variables;  // "NAME=VALUE", set besides this process's
  std::chrono::steady_clock::time_point deadline;
  std::size_t max_output = std::size_t{1} << 20;  // of standard output; what is more is thrown away
};

struct ChildResult {
  std::string output;
  std::string errors;       // the beginning of standard error
  std::size_t dropped = 0;  // bytes of standard output behind max_output
  // Empty when it ended by itself with status 0; else what happened.
  std::string failure;
};

// Standard input is empty. The program has a process group of its own, which is killed when the
// deadline comes; whatever becomes of it, this returns within a second after that. Throws
// std::bad_alloc only.
ChildResult run_child(const ChildProgram& program);

}  // namespace ckp

// What ckptool's exit status says. Scripts rely on these numbers: never change one.
#pragma once

#include <stdexcept>
#include <string>

#include "ckp/error.h"

namespace ckp::tool {

enum class ExitCode : int {
  ok = 0,
  error = 1,
  usage = 2,
  partly_done = 3,
  damage = 4,
  no_store = 10,
  locked = 11,
  newer_format = 12,
  interrupted = 130,  // as a shell reports a process that SIGINT ended
};

// The command line makes no sense; `what()` says why.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// There is no store where one was expected. Separate from Error(not_found), which is a run or a
// checkpoint that a store lacks.
class NoStore : public Error {
 public:
  explicit NoStore(const std::string& message) : Error(ErrorCode::not_found, message) {}
};

ExitCode exit_code(ErrorCode code);

}  // namespace ckp::tool

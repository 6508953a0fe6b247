#include "exit_codes.h"

namespace ckp::tool {

ExitCode exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::corrupt:
      return ExitCode::damage;
    case ErrorCode::locked:
      return ExitCode::locked;
    case ErrorCode::newer_format:
      return ExitCode::newer_format;
    case ErrorCode::invalid_argument:
      return ExitCode::usage;
    case ErrorCode::not_found:
    case ErrorCode::already_exists:
    case ErrorCode::out_of_space:
    case ErrorCode::read_only:
    case ErrorCode::mismatch:
    case ErrorCode::unsupported:
    case ErrorCode::out_of_resources:
    case ErrorCode::io:
      return ExitCode::error;
  }
  return ExitCode::error;
}

}  // namespace ckp::tool

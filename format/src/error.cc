#include "ckp/error.h"

namespace ckp {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::already_exists:
      return "already_exists";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::out_of_space:
      return "out_of_space";
    case ErrorCode::newer_format:
      return "newer_format";
    case ErrorCode::read_only:
      return "read_only";
    case ErrorCode::locked:
      return "locked";
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::mismatch:
      return "mismatch";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::out_of_resources:
      return "out_of_resources";
    case ErrorCode::io:
      return "io";
  }
  return "unknown";
}

}  // namespace ckp

// The one exception type of ckpstore.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace ckp {

// What kind of thing went wrong. `ckptool` maps these to its exit codes.
enum class ErrorCode {
  not_found,       // a store, run, checkpoint, tensor or file that was named does not exist
  already_exists,  // a name or path that had to be new is taken
  corrupt,         // bytes on disk are not what was written
  out_of_space,    // disk full or quota reached (ENOSPC, EDQUOT, EFBIG)
  newer_format,    // written by a version of ckpstore that this one cannot read or must not change
  read_only,       // the place cannot be written (EROFS, EACCES, EPERM)
  locked,          // somebody else holds what is needed
  invalid_argument,  // the caller asked for something that makes no sense
  mismatch,          // shape, dtype or name does not fit the state it is loaded into
  unsupported,       // understood, but this build does not do it
  out_of_resources,  // this process or host has no more (EMFILE, ENFILE, ENOMEM); no file's fault
  io,                // any other failure reported by the operating system
};

// "not_found", "corrupt", ...: the enumerator's own spelling.
std::string_view to_string(ErrorCode code);

// Every error that ckpstore throws. `what()` names the object, the field, what was expected and
// what was found, and what to do next; it is meant to be shown to a person as it is.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace ckp

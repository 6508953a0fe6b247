// What git knows of the source that a program was built from.
#pragma once

#include <string>

#include "ckp/environment.h"

namespace ckp {

// The keys git_... of capture_environment; none where there is no work tree.
Value::Map git_state(const CaptureOptions& options);

// `text` with each byte that is no part of valid UTF-8 as U+FFFD.
std::string as_utf8(std::string_view text);

}  // namespace ckp

// The resume certificate: what a checkpoint says about the program that saved it, so that a resume
// can tell what it misses and what has changed since.
#pragma once

#include <string_view>

namespace ckp {

// The name among a checkpoint's values that the certificate has for itself (spec/format.md,
// "Conventions for values"): a map of
//   parts     name of each part of the saved state -> what it is, "optimizer (AdamW)"
//   facts     versions, threads, devices, command line, ... -> value
//   warnings  list: what a resume from this checkpoint will lack, one sentence each
inline constexpr std::string_view certificate_part = "certificate";

}  // namespace ckp

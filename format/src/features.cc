#include "ckp/format/features.h"

#include <fmt/format.h>

#include "ckp/error.h"

namespace ckp::format {
namespace {

// Bits that are reserved have a name before this version can read them.
std::string_view refuse_name(std::uint64_t bit) {
  switch (bit) {
    case feature::external_references:
      return "external_references";
    case feature::patches:
      return "patches";
    case feature::delta:
      return "delta";
    case feature::derived:
      return "derived";
    case feature::differences:
      return "differences";
    case feature::trash:
      return "trash";
    default:
      return "";
  }
}

std::string describe_refuse_bits(std::uint64_t bits) {
  std::string text;
  for (int i = 0; i < 64; ++i) {
    const std::uint64_t bit = std::uint64_t{1} << i;
    if ((bits & bit) == 0) continue;
    if (!text.empty()) text += ", ";
    text += refuse_name(bit).empty() ? fmt::format("bit {}", i) : refuse_name(bit);
  }
  return text;
}

}  // namespace

bool check_readable(const Versions& versions, const Features& features, std::string_view what) {
  if (versions.read_version > current_version) {
    throw Error(ErrorCode::newer_format,
                fmt::format("{}: needs format version {} to be read (written by version {}), this "
                            "ckpstore knows version {}; use a newer ckpstore",
                            what, versions.read_version, versions.write_version, current_version));
  }
  if (const auto unknown = features.refuse & ~known_features.refuse; unknown != 0) {
    throw Error(
        ErrorCode::newer_format,
        fmt::format("{}: uses a feature that this ckpstore (format version {}) cannot read: "
                    "{}; use one that knows it (it was written by format version {})",
                    what, current_version, describe_refuse_bits(unknown), versions.write_version));
  }
  return (features.read_only & ~known_features.read_only) == 0;
}

}  // namespace ckp::format

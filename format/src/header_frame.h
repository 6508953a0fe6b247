// What the fixed-size headers at the start of files have in common (spec/store.md, "Headers"):
//   0 magic (8) | 8 write version (2) | 10 read version (2) | 12 zero (4) |
//   16 ignore (8) | 24 read_only (8) | 32 refuse (8) | 40 ... fields, zeros ... |
//   size - 8 XXH3-64 of everything before it
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "ckp/format/features.h"
#include "ckp/format/wire.h"

namespace ckp::format {

using Magic = std::array<std::byte, 8>;

// As PNG's: a byte with the high bit, CR LF, ^Z and LF are what text-mode copying damages.
constexpr Magic file_magic(char kind) {
  return {std::byte{0x89}, std::byte{'C'},  std::byte{'K'},  static_cast<std::byte>(kind),
          std::byte{'\r'}, std::byte{'\n'}, std::byte{0x1a}, std::byte{'\n'}};
}
constexpr Magic pack_magic = file_magic('P');
constexpr Magic trailer_magic = file_magic('E');
constexpr Magic pack_record_magic = file_magic('R');
constexpr Magic store_magic = file_magic('S');
constexpr Magic journal_magic = file_magic('J');
constexpr Magic state_magic = file_magic('L');

// Starts a header with bytes 0 to 39; seal() of checked.h ends it.
Writer begin_header(const Magic& magic, const Versions& versions, const Features& features);

struct OpenHeader {
  Versions versions;
  Features features;
  Reader fields;  // byte 40 up to the checksum
};
// Checks magic, checksum, versions and features, in this order; what stands in `bytes` after the
// first `size` bytes is not looked at. Throws Error(corrupt) or Error(newer_format) naming `what`.
// `check_features` false: the features are for the caller to judge (a pack's header only says what
// may occur).
OpenHeader open_header(std::span<const std::byte> bytes, std::size_t size, const Magic& magic,
                       std::string_view what, bool check_features = true);

}  // namespace ckp::format

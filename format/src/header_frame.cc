#include "header_frame.h"

#include <fmt/format.h>

#include <algorithm>

#include "checked.h"
#include "ckp/digest.h"
#include "ckp/error.h"

namespace ckp::format {
namespace {

constexpr std::size_t checksum_size = 8;

std::string_view file_kind(std::byte letter) {
  switch (std::to_integer<char>(letter)) {
    case 'P':
      return "a pack (.ckp)";
    case 'S':
      return "a STORE file";
    case 'J':
      return "a journal";
    case 'L':
      return "a lock file";
    default:
      return "";
  }
}

// What probably happened to a file whose magic is wrong, and what to do.
std::string magic_hint(std::span<const std::byte> found, const Magic& expected) {
  const auto same = [&](std::size_t from, std::size_t to) {
    return std::equal(found.begin() + static_cast<std::ptrdiff_t>(from),
                      found.begin() + static_cast<std::ptrdiff_t>(to),
                      expected.begin() + static_cast<std::ptrdiff_t>(from));
  };
  if (std::ranges::all_of(found, [](std::byte b) { return b == std::byte{0}; })) {
    return "it was never written, or lost in a crash";
  }
  if (same(0, 4)) return "line endings were converted; copy the file again in binary mode";
  if (found[0] == (expected[0] & std::byte{0x7f}) && same(1, 4)) {
    return "the high bits of bytes were cut off; copy the file again in binary mode";
  }
  if (same(0, 3) && same(4, 8) && !file_kind(found[3]).empty()) {
    return fmt::format("this is {}", file_kind(found[3]));
  }
  return "this is another kind of file, or its start is damaged";
}

std::string hex_bytes(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes) {
    fmt::format_to(std::back_inserter(text), "{:02x}", std::to_integer<unsigned>(b));
  }
  return text;
}

void check_magic(std::span<const std::byte> bytes, const Magic& magic, std::string_view what) {
  const auto found = bytes.first(magic.size());
  if (std::ranges::equal(found, magic)) return;
  throw Error(ErrorCode::corrupt,
              fmt::format("{}: magic is {}, expected {}: {}", what, hex_bytes(found),
                          hex_bytes(magic), magic_hint(found, magic)));
}

void check_seal(std::span<const std::byte> header, std::string_view what) {
  const auto covered = header.first(header.size() - checksum_size);
  if (is_sealed(header)) return;
  const std::uint64_t stored = Reader(header.last(checksum_size), what).u64();
  const std::uint64_t computed = checksum_of(covered);
  throw Error(ErrorCode::corrupt, fmt::format("{}: header checksum is {:016x}, expected {:016x}",
                                              what, stored, computed));
}

void check_versions(const Versions& versions, std::string_view what) {
  if (versions.read_version >= 1 && versions.write_version >= versions.read_version) return;
  throw Error(ErrorCode::corrupt,
              fmt::format("{}: read version {} and write version {} do not fit together", what,
                          versions.read_version, versions.write_version));
}

}  // namespace

Writer begin_header(const Magic& magic, const Versions& versions, const Features& features) {
  Writer writer;
  writer.bytes(magic);
  write_versions(writer, versions);
  writer.zeros(4);
  write_features(writer, features);
  return writer;
}

OpenHeader open_header(std::span<const std::byte> bytes, std::size_t size, const Magic& magic,
                       std::string_view what, bool check_features) {
  // The magic first: it can tell why a file is too short.
  if (bytes.size() >= magic.size()) check_magic(bytes, magic, what);
  if (bytes.size() < size) {
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: {} bytes, but its header alone has {}", what, bytes.size(), size));
  }
  const auto header = bytes.first(size);
  check_seal(header, what);
  Reader reader(header.first(size - checksum_size), what);
  reader.skip(magic.size());
  const Versions versions = read_versions(reader);
  Reader reserved = reader;  // looked at after the versions: a newer one may use it
  reader.skip(4);
  const Features features = read_features(reader);
  check_versions(versions, what);
  check_readable(versions, check_features ? features : Features{}, what);
  reserved.expect_zero(4);
  return {.versions = versions, .features = features, .fields = reader};
}

}  // namespace ckp::format

#include "ckp/format/wire.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"

namespace ckp::format {
namespace {

// Byte by byte: right on any host, and compilers make one load of it.
template <class Unsigned>
Unsigned load_little_endian(std::span<const std::byte> bytes) {
  Unsigned value = 0;
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
    value = static_cast<Unsigned>(value | std::to_integer<Unsigned>(bytes[i]) << (8 * i));
  }
  return value;
}

template <class Unsigned>
void append_little_endian(std::vector<std::byte>& buffer, Unsigned value) {
  std::array<std::byte, sizeof(Unsigned)> bytes;
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
    bytes[i] = static_cast<std::byte>(value >> (8 * i));
  }
  buffer.insert(buffer.end(), bytes.begin(), bytes.end());
}

}  // namespace

std::uint8_t Reader::u8() { return load_little_endian<std::uint8_t>(take(1)); }
std::uint16_t Reader::u16() { return load_little_endian<std::uint16_t>(take(2)); }
std::uint32_t Reader::u32() { return load_little_endian<std::uint32_t>(take(4)); }
std::uint64_t Reader::u64() { return load_little_endian<std::uint64_t>(take(8)); }

Uuid Reader::uuid() {
  Uuid value;
  std::ranges::copy(take(value.bytes.size()), value.bytes.begin());
  return value;
}

Digest Reader::digest() {
  Digest value;
  value.low = u64();
  value.high = u64();
  return value;
}

std::span<const std::byte> Reader::take(std::uint64_t size) {
  if (size > remaining()) {
    throw Error(ErrorCode::corrupt, fmt::format("{}: {} bytes needed at byte {}, but it ends at {}",
                                                what_, size, offset_, bytes_.size()));
  }
  const auto taken = bytes_.subspan(offset_, static_cast<std::size_t>(size));
  offset_ += taken.size();
  return taken;
}

void Reader::expect_zero(std::uint64_t size) {
  const std::size_t start = offset_;
  const auto taken = take(size);
  const auto bad = std::ranges::find_if(taken, [](std::byte b) { return b != std::byte{0}; });
  if (bad == taken.end()) return;
  throw Error(ErrorCode::corrupt, fmt::format("{}: reserved byte {} is {:#04x}, expected 0", what_,
                                              start + static_cast<std::size_t>(bad - taken.begin()),
                                              std::to_integer<unsigned>(*bad)));
}

void Reader::expect_end() const {
  if (remaining() == 0) return;
  throw Error(ErrorCode::corrupt, fmt::format("{}: {} bytes too many, expected the end at byte {}",
                                              what_, remaining(), offset_));
}

void Writer::u8(std::uint8_t value) { append_little_endian(buffer_, value); }
void Writer::u16(std::uint16_t value) { append_little_endian(buffer_, value); }
void Writer::u32(std::uint32_t value) { append_little_endian(buffer_, value); }
void Writer::u64(std::uint64_t value) { append_little_endian(buffer_, value); }

void Writer::uuid(const Uuid& value) { bytes(value.bytes); }

void Writer::digest(const Digest& value) {
  u64(value.low);
  u64(value.high);
}

void Writer::bytes(std::span<const std::byte> value) {
  buffer_.insert(buffer_.end(), value.begin(), value.end());
}

void Writer::text(std::string_view value) { bytes(as_bytes(value)); }

void Writer::zeros(std::size_t count) { buffer_.resize(buffer_.size() + count); }

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace ckp::format

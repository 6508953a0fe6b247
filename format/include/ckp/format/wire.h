// Bounded little-endian reading and writing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ckp/digest.h"
#include "ckp/uuid.h"

namespace ckp::format {

// Reads fields from the front of a byte span. Every read past the end throws Error(corrupt) naming
// `what` ("manifest", "chunk table") and the offset. Never allocates.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::string_view what) : bytes_(bytes), what_(what) {}
  std::uint8_t u8();
  std::uint16_t u16();
  std::uint32_t u32();
  std::uint64_t u64();
  std::int64_t i64() { return static_cast<std::int64_t>(u64()); }
  Uuid uuid();
  Digest digest();
  std::span<const std::byte> take(std::uint64_t size);
  void skip(std::uint64_t size) { take(size); }
  // Reserved fields: throws Error(corrupt) unless the next `size` bytes are zero.
  void expect_zero(std::uint64_t size);
  std::size_t offset() const { return offset_; }
  std::size_t remaining() const { return bytes_.size() - offset_; }
  // Throws Error(corrupt) unless everything was read.
  void expect_end() const;
  std::string_view what() const { return what_; }

 private:
  std::span<const std::byte> bytes_;
  std::string_view what_;
  std::size_t offset_ = 0;
};

// Appends fields to a growing buffer.
class Writer {
 public:
  void u8(std::uint8_t value);
  void u16(std::uint16_t value);
  void u32(std::uint32_t value);
  void u64(std::uint64_t value);
  void i64(std::int64_t value) { u64(static_cast<std::uint64_t>(value)); }
  void uuid(const Uuid& value);
  void digest(const Digest& value);
  void bytes(std::span<const std::byte> value);
  void text(std::string_view value);
  void zeros(std::size_t count);
  std::size_t size() const { return buffer_.size(); }
  const std::vector<std::byte>& buffer() const { return buffer_; }
  std::vector<std::byte> release() { return std::move(buffer_); }

 private:
  std::vector<std::byte> buffer_;
};

// `offset` rounded up to a multiple of `alignment` (a power of two).
constexpr std::uint64_t align_up(std::uint64_t offset, std::uint64_t alignment) {
  return (offset + alignment - 1) & ~(alignment - 1);
}

std::span<const std::byte> as_bytes(std::string_view text);

}  // namespace ckp::format

#include "ckp/format/store_identity.h"

#include <fmt/format.h>

#include <algorithm>

#include "checked.h"
#include "ckp/error.h"
#include "header_frame.h"

namespace ckp::format {
namespace {

constexpr std::string_view store_what = "STORE";
constexpr std::uint16_t state_layout = 1;
constexpr std::size_t max_host = 63;
constexpr std::size_t checksum_size = 8;

// A counted text in a field of fixed width, the rest zero.
void put_text(Writer& writer, std::string_view text, std::size_t width) {
  writer.u8(static_cast<std::uint8_t>(text.size()));
  writer.text(text);
  writer.zeros(width - text.size());
}

bool is_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

std::optional<std::string> get_text(Reader& reader, std::size_t width) {
  const std::size_t size = reader.u8();
  const auto field = reader.take(width);
  if (size > width) return std::nullopt;
  if (!is_zero(field.subspan(size))) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(field.data()), size);
}

// One name below runs/, or nothing: never a way out of that folder.
bool is_directory_name(std::string_view name) {
  return name.size() <= StateBlock::max_directory && name != "." && name != ".." &&
         name.find('/') == name.npos && name.find('\0') == name.npos;
}

void put_stamp(Writer& writer, const IndexStamp& stamp) {
  writer.u64(stamp.device);
  writer.u64(stamp.inode);
  writer.u64(stamp.size);
  writer.i64(stamp.change_time_ns);
  writer.u64(stamp.transaction);
}

IndexStamp get_stamp(Reader& reader) {
  IndexStamp stamp;
  stamp.device = reader.u64();
  stamp.inode = reader.u64();
  stamp.size = reader.u64();
  stamp.change_time_ns = reader.i64();
  stamp.transaction = reader.u64();
  return stamp;
}

}  // namespace

std::vector<std::byte> encode_store_identity(const StoreIdentity& identity) {
  if (identity.uuid.is_nil()) {
    throw Error(ErrorCode::invalid_argument, "STORE: the store's uuid is all zero");
  }
  Writer writer = begin_header(store_magic, identity.versions, identity.features);
  writer.uuid(identity.uuid);
  writer.i64(identity.created_ns);
  return seal(writer, StoreIdentity::size);
}

StoreIdentity decode_store_identity(std::span<const std::byte> bytes) {
  auto [versions, features, fields] =
      open_header(bytes, StoreIdentity::size, store_magic, store_what);
  StoreIdentity identity;
  identity.versions = versions;
  identity.features = features;
  identity.uuid = fields.uuid();
  identity.created_ns = fields.i64();
  fields.expect_zero(fields.remaining());
  if (identity.uuid.is_nil()) {
    throw Error(ErrorCode::corrupt, "STORE: the store's uuid is all zero");
  }
  if (bytes.size() != StoreIdentity::size) {
    throw Error(ErrorCode::corrupt,
                fmt::format("STORE: {} bytes, expected {}", bytes.size(), StoreIdentity::size));
  }
  return identity;
}

std::vector<std::byte> encode_state_block(const StateBlock& block) {
  if (!is_directory_name(block.run_directory)) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("state block: run directory is not one name of at most {} bytes: \"{}\"",
                    StateBlock::max_directory, block.run_directory));
  }
  Writer writer;
  writer.bytes(state_magic);
  writer.u16(state_layout);
  writer.zeros(2);
  writer.u32(block.holder_pid);
  writer.uuid(block.store);
  writer.uuid(block.boot);
  writer.u64(block.begin);
  writer.u64(block.end);
  put_stamp(writer, block.stamp);
  put_text(writer, block.run_directory, StateBlock::max_directory);
  // Linux allows 64 bytes; the name only serves messages, so its end may be lost.
  put_text(writer, std::string_view(block.holder_host).substr(0, max_host), max_host);
  return seal(writer, StateBlock::size);
}

std::optional<StateBlock> decode_state_block(std::span<const std::byte> bytes) {
  if (bytes.size() < StateBlock::size) return std::nullopt;
  const auto covered = bytes.first(StateBlock::size - checksum_size);
  Reader seal(bytes.subspan(covered.size(), checksum_size), "state block");
  if (seal.u64() != checksum_of(covered)) return std::nullopt;
  Reader reader(covered, "state block");
  if (!std::ranges::equal(reader.take(state_magic.size()), state_magic)) return std::nullopt;
  if (reader.u16() != state_layout || reader.u16() != 0) return std::nullopt;
  StateBlock block;
  block.holder_pid = reader.u32();
  block.store = reader.uuid();
  block.boot = reader.uuid();
  block.begin = reader.u64();
  block.end = reader.u64();
  block.stamp = get_stamp(reader);
  auto directory = get_text(reader, StateBlock::max_directory);
  auto host = get_text(reader, max_host);
  if (!directory || !host || !is_directory_name(*directory)) return std::nullopt;
  if (!is_zero(reader.take(reader.remaining()))) return std::nullopt;
  block.run_directory = std::move(*directory);
  block.holder_host = std::move(*host);
  return block;
}

}  // namespace ckp::format

// Chooses a codec when writing, and follows the recorded one when reading.
#include "ckp/format/codec.h"

#include <fmt/format.h>

#include <cstring>

#include "ckp/error.h"
#include "codec_internal.h"

namespace ckp::format {
namespace {

// A raw chunk can be mapped or read straight into a tensor: give that up only for a real gain.
bool worth_decoding(std::size_t stored_size, std::size_t raw_size) {
  return stored_size + raw_size / 128 < raw_size;
}

void decode_raw(std::span<const std::byte> stored, std::span<std::byte> out) {
  if (stored.size() != out.size()) {
    throw Error(ErrorCode::corrupt,
                fmt::format("codec raw: stored_size is {}, expected raw_size {}", stored.size(),
                            out.size()));
  }
  if (!out.empty()) std::memcpy(out.data(), stored.data(), out.size());
}

}  // namespace

std::string_view to_string(Codec codec) {
  switch (codec) {
    case Codec::raw:
      return "raw";
    case Codec::constant:
      return "constant";
    case Codec::planes:
      return "planes";
    case Codec::sparse:
      return "sparse";
    case Codec::delta:
      return "delta";
  }
  return "unknown";
}

std::optional<Compression> compression_named(std::string_view name) {
  if (name == "none") return Compression::none;
  if (name == "fast") return Compression::fast;
  if (name == "balanced") return Compression::balanced;
  if (name == "archive") return Compression::archive;
  return std::nullopt;
}

Encoded encode(std::span<const std::byte> raw, std::size_t scalar_size, Compression compression) {
  Encoded encoded;
  encoded.codec = encode(raw, scalar_size, compression, encoded.bytes);
  return encoded;
}

Codec encode(std::span<const std::byte> raw, std::size_t scalar_size, Compression compression,
             std::vector<std::byte>& out) {
  if (compression != Compression::none) {
    if (store_constant(raw, out)) return Codec::constant;
    if (store_planes(raw, scalar_size, compression, out) &&
        worth_decoding(out.size(), raw.size())) {
      return Codec::planes;
    }
  }
  out.clear();
  return Codec::raw;
}

std::optional<std::vector<std::byte>> encode_constant(std::span<const std::byte> raw) {
  std::vector<std::byte> out;
  if (!store_constant(raw, out)) return std::nullopt;
  return out;
}

std::optional<std::vector<std::byte>> encode_planes(std::span<const std::byte> raw,
                                                    std::size_t scalar_size,
                                                    Compression compression) {
  std::vector<std::byte> out;
  if (!store_planes(raw, scalar_size, compression, out)) return std::nullopt;
  return out;
}

void decode(Codec codec, std::span<const std::byte> stored, std::span<std::byte> out) {
  switch (codec) {
    case Codec::raw:
      return decode_raw(stored, out);
    case Codec::constant:
      return decode_constant(stored, out);
    case Codec::planes:
      return decode_planes(stored, out);
    case Codec::sparse:
    case Codec::delta:
      break;
  }
  throw Error(ErrorCode::newer_format,
              fmt::format("codec {} ({}) is not known to this version of ckpstore; use a newer one",
                          static_cast<unsigned>(codec), to_string(codec)));
}

}  // namespace ckp::format

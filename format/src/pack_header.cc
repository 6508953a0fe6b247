// The first and the last 128 bytes of a pack; the offsets are in spec/format.md.
#include <fmt/format.h>

#include <algorithm>

#include "checked.h"
#include "ckp/error.h"
#include "ckp/format/pack.h"
#include "header_frame.h"

namespace ckp::format {
namespace {

constexpr std::string_view header_what = "pack header";
constexpr std::string_view trailer_what = "pack trailer";
constexpr std::uint8_t min_alignment_log2 = 6;
constexpr std::uint8_t max_alignment_log2 = 12;

[[noreturn]] void not_a_pack(std::string_view what) {
  throw Error(ErrorCode::corrupt, fmt::format("{}: {}", header_what, what));
}

bool starts_with(std::span<const std::byte> bytes, std::string_view text) {
  const auto start = as_bytes(text);
  return bytes.size() >= start.size() && std::equal(start.begin(), start.end(), bytes.begin());
}

// A safetensors file: the length of a JSON object in 8 bytes, then the object.
bool looks_like_safetensors(std::span<const std::byte> bytes) {
  if (bytes.size() < 9 || bytes[8] != std::byte{'{'}) return false;
  return Reader(bytes.first(8), header_what).u64() <= 100'000'000;
}

// Other files that people have instead of a pack.
void refuse_other_files(std::span<const std::byte> bytes) {
  if (bytes.empty()) not_a_pack("the file is empty");
  if (starts_with(bytes, "PK\x03\x04")) {
    not_a_pack("this is a zip file, perhaps a PyTorch .pt or .pth, not a .ckp");
  }
  if (looks_like_safetensors(bytes)) {
    not_a_pack("this looks like a safetensors file, not a .ckp; use: ckptool convert");
  }
  const auto first = bytes.first(std::min(bytes.size(), PackHeader::size));
  if (std::ranges::all_of(first, [](std::byte b) { return b == std::byte{0}; })) {
    not_a_pack(fmt::format("the first {} bytes are all zero: never written, or lost in a crash",
                           first.size()));
  }
}

bool is_alignment(std::uint8_t log2) {
  return log2 >= min_alignment_log2 && log2 <= max_alignment_log2;
}

}  // namespace

std::vector<std::byte> encode_pack_header(const PackHeader& header) {
  if (header.uuid.is_nil()) {
    throw Error(ErrorCode::invalid_argument, "pack header: the uuid is all zero");
  }
  if (!is_alignment(header.alignment_log2)) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("pack header: alignment_log2 is {}, "
                            "expected {} to {}",
                            header.alignment_log2, min_alignment_log2, max_alignment_log2));
  }
  Writer out = begin_header(pack_magic, header.versions, header.may_use);
  out.uuid(header.uuid);
  out.u32(header.generation);
  out.u8(header.alignment_log2);
  return seal(out, PackHeader::size);
}

PackHeader decode_pack_header(std::span<const std::byte> bytes) {
  refuse_other_files(bytes);
  auto [versions, features, in] =
      open_header(bytes, PackHeader::size, pack_magic, header_what, false);
  PackHeader header;
  header.versions = versions;
  header.may_use = features;
  header.uuid = in.uuid();
  header.generation = in.u32();
  header.alignment_log2 = in.u8();
  in.expect_zero(in.remaining());
  if (header.uuid.is_nil()) not_a_pack("the uuid is all zero");
  if (!is_alignment(header.alignment_log2)) {
    not_a_pack(fmt::format("alignment_log2 is {}, expected {} to {}", header.alignment_log2,
                           min_alignment_log2, max_alignment_log2));
  }
  return header;
}

std::vector<std::byte> encode_pack_trailer(const PackTrailer& trailer) {
  Writer out = begin_header(trailer_magic, trailer.versions, trailer.uses);
  out.uuid(trailer.uuid);
  out.u32(trailer.generation);
  out.u32(trailer.chunk_count);
  out.u32(trailer.manifest_count);
  out.zeros(4);
  out.u64(trailer.table_offset);
  out.u64(trailer.file_size);
  return seal(out, PackTrailer::size);
}

PackTrailer decode_pack_trailer(std::span<const std::byte> bytes) {
  if (bytes.size() < PackTrailer::size ||
      !std::equal(trailer_magic.begin(), trailer_magic.end(), bytes.begin())) {
    throw Error(ErrorCode::corrupt,
                "pack trailer: not found at the end of the file, which was cut short, is not "
                "complete yet, or is damaged there");
  }
  auto [versions, features, in] =
      open_header(bytes, PackTrailer::size, trailer_magic, trailer_what);
  PackTrailer trailer;
  trailer.versions = versions;
  trailer.uses = features;
  trailer.uuid = in.uuid();
  trailer.generation = in.u32();
  trailer.chunk_count = in.u32();
  trailer.manifest_count = in.u32();
  in.expect_zero(4);
  trailer.table_offset = in.u64();
  trailer.file_size = in.u64();
  in.expect_zero(in.remaining());
  return trailer;
}

}  // namespace ckp::format

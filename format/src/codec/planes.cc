// Codec `planes`: byte planes, each stored raw, as a zstd frame, or as the one byte it consists of.
//
//   u8 scalar_size | u8 flags | u16 zero | scalar_size x { u8 method | u8[3] zero | u32 size }
//   the planes' bytes in order | the raw tail of raw_size % scalar_size bytes
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ckp/error.h"
#include "ckp/format/codec.h"
#include "ckp/format/limits.h"
#include "ckp/format/per_thread.h"
#include "ckp/format/wire.h"
#include "codec_internal.h"
#include "plan.h"
#include "split.h"
#include "zstd_frame.h"

namespace ckp::format {
namespace {

enum class PlaneMethod : std::uint8_t { raw = 0, zstd = 1, constant = 2 };

constexpr std::uint8_t flag_rotated = 1;

constexpr std::size_t header_size(std::size_t scalar_size) { return 4 + 8 * scalar_size; }

struct Plane {
  PlaneMethod method = PlaneMethod::raw;
  std::span<const std::byte> stored;
};
using Planes = std::array<Plane, max_scalar_size>;

// Working memory of one thread, kept between chunks of the usual size.
class Scratch {
 public:
  std::span<std::byte> get(std::size_t size) {
    if (bytes_.size() < size) bytes_.resize(size);
    return {bytes_.data(), size};
  }
  void trim() {
    constexpr std::size_t keep = 8u << 20;
    if (bytes_.size() > keep) bytes_ = {};
  }

 private:
  std::vector<std::byte> bytes_;
};

bool all_equal(std::span<const std::byte> bytes) {
  return std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

// Whether there is more in a plane than uneven bytes, as a piece of it has it: most exponents have
// nothing, and looking for it takes twenty times as long as Huffman coding.
bool may_repeat(std::span<const std::byte> plane, std::span<std::byte> space) {
  constexpr std::size_t piece_size = 32u << 10;
  if (plane.size() <= 2 * piece_size) return true;
  const auto piece = plane.subspan((plane.size() - piece_size) / 2, piece_size);
  const auto out = space.first(piece_size);
  const std::size_t huffman = compress_frame(ZstdMode::huffman, piece, out);
  const std::size_t thorough = compress_frame(ZstdMode::thorough, piece, out);
  return thorough != 0 && (huffman == 0 || thorough < huffman);
}

// The smaller of two frames, at the front of `space`; 0: none is smaller than that.
std::size_t compress_smallest(std::span<const std::byte> plane, std::span<std::byte> space) {
  const bool thoroughly = may_repeat(plane, space);
  const std::size_t huffman = compress_frame(ZstdMode::huffman, plane, space);
  if (!thoroughly) return huffman;
  static PerThread<Scratch> scratches;
  Scratch& scratch = scratches.get();
  const auto other = scratch.get(huffman == 0 ? space.size() : huffman);
  const std::size_t thorough = compress_frame(ZstdMode::thorough, plane, other);
  if (thorough != 0) std::memcpy(space.data(), other.data(), thorough);
  scratch.trim();
  return thorough != 0 ? thorough : huffman;
}

// Stores one plane; a frame goes to the front of `space`, which has the plane's size.
Plane store_plane(PlanePlan plan, std::span<const std::byte> plane, std::span<std::byte> space) {
  if (plan == PlanePlan::noise) return {PlaneMethod::raw, plane};
  const bool smallest = plan == PlanePlan::smallest;
  if ((plan == PlanePlan::matches || smallest) && all_equal(plane)) {
    return {PlaneMethod::constant, plane.first(1)};
  }
  const auto mode = plan == PlanePlan::matches ? ZstdMode::matches : ZstdMode::huffman;
  // A frame must win a little, or it only costs decoding.
  const auto room = space.first(plane.size() - plane.size() / (smallest ? 256 : 64));
  const std::size_t size =
      smallest ? compress_smallest(plane, room) : compress_frame(mode, plane, room);
  if (size == 0 || size >= plane.size()) return {PlaneMethod::raw, plane};
  return {PlaneMethod::zstd, space.first(size)};
}

void assemble(const Planes& planes, std::size_t scalar_size, bool rotated,
              std::span<const std::byte> tail, std::vector<std::byte>& out) {
  Writer header;
  header.u8(static_cast<std::uint8_t>(scalar_size));
  header.u8(rotated ? flag_rotated : 0);
  header.u16(0);
  for (std::size_t k = 0; k < scalar_size; ++k) {
    header.u8(static_cast<std::uint8_t>(planes[k].method));
    header.zeros(3);
    header.u32(static_cast<std::uint32_t>(planes[k].stored.size()));
  }
  const auto front = header.release();
  out.assign(front.begin(), front.end());
  for (std::size_t k = 0; k < scalar_size; ++k) {
    out.insert(out.end(), planes[k].stored.begin(), planes[k].stored.end());
  }
  out.insert(out.end(), tail.begin(), tail.end());
}

[[noreturn]] void bad(std::string_view field, std::uint64_t found, std::string_view expected) {
  throw Error(ErrorCode::corrupt,
              fmt::format("codec planes: {} is {}, expected {}", field, found, expected));
}

struct Parsed {
  std::size_t scalar_size = 0;
  bool rotated = false;
  std::size_t count = 0;  // elements
  Planes planes;
  std::span<const std::byte> tail;
};

PlaneMethod parse_method(std::uint8_t method, std::uint32_t size, std::size_t count) {
  switch (method) {
    case static_cast<std::uint8_t>(PlaneMethod::raw):
      if (size != count) bad("size of a raw plane", size, fmt::format("{}", count));
      return PlaneMethod::raw;
    case static_cast<std::uint8_t>(PlaneMethod::zstd):
      if (size == 0 || size >= count)
        bad("size of a zstd plane", size, fmt::format("1 to {} - 1", count));
      return PlaneMethod::zstd;
    case static_cast<std::uint8_t>(PlaneMethod::constant):
      if (size != 1) bad("size of a constant plane", size, "1");
      return PlaneMethod::constant;
    default:
      bad("method", method, "0, 1 or 2");
  }
}

Parsed parse(std::span<const std::byte> stored, std::size_t raw_size) {
  Reader in(stored, "codec planes");
  Parsed parsed;
  parsed.scalar_size = in.u8();
  if (!is_scalar_size(parsed.scalar_size)) bad("scalar_size", parsed.scalar_size, "1, 2, 4 or 8");
  const std::uint8_t flags = in.u8();
  if ((flags & ~flag_rotated) != 0) bad("flags", flags, "0 or 1");
  parsed.rotated = flags != 0;
  in.expect_zero(2);
  parsed.count = raw_size / parsed.scalar_size;
  std::array<std::uint32_t, max_scalar_size> sizes{};
  for (std::size_t k = 0; k < parsed.scalar_size; ++k) {
    const std::uint8_t method = in.u8();
    in.expect_zero(3);
    sizes[k] = in.u32();
    parsed.planes[k].method = parse_method(method, sizes[k], parsed.count);
  }
  for (std::size_t k = 0; k < parsed.scalar_size; ++k) parsed.planes[k].stored = in.take(sizes[k]);
  parsed.tail = in.take(raw_size % parsed.scalar_size);
  in.expect_end();
  return parsed;
}

}  // namespace

bool store_planes(std::span<const std::byte> raw, std::size_t scalar_size, Compression compression,
                  std::vector<std::byte>& out) {
  if (!is_scalar_size(scalar_size)) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("scalar_size is {}, expected 1, 2, 4 or 8", scalar_size));
  }
  const std::size_t count = raw.size() / scalar_size;
  if (raw.size() <= header_size(scalar_size) + scalar_size) return false;
  if (raw.size() > limits::manifest_raw_size) return false;  // sizes have 32 bits
  const SplitPlan plan = plan_split(raw, count, scalar_size, compression);
  const auto first = plan.planes.begin();
  if (std::all_of(first, first + static_cast<std::ptrdiff_t>(scalar_size),
                  [](PlanePlan p) { return p == PlanePlan::noise; })) {
    return false;
  }

  static PerThread<Scratch> split_scratches, frame_scratches;
  Scratch& split_scratch = split_scratches.get();
  Scratch& frame_scratch = frame_scratches.get();
  const auto split = split_scratch.get(count * scalar_size);
  const auto frames = frame_scratch.get(count * scalar_size);
  std::array<std::byte*, max_scalar_size> targets{};
  for (std::size_t k = 0; k < scalar_size; ++k) targets[k] = split.data() + k * count;
  split_planes(raw.data(), count, scalar_size, plan.rotated, targets);

  Planes planes;
  std::size_t size = header_size(scalar_size) + raw.size() % scalar_size;
  for (std::size_t k = 0; k < scalar_size; ++k) {
    planes[k] = store_plane(plan.planes[k], split.subspan(k * count, count),
                            frames.subspan(k * count, count));
    size += planes[k].stored.size();
  }
  const bool wins = size < raw.size();
  if (wins) {
    assemble(planes, scalar_size, plan.rotated, raw.subspan(count * scalar_size), out);
  }
  split_scratch.trim();
  frame_scratch.trim();
  return wins;
}

void decode_planes(std::span<const std::byte> stored, std::span<std::byte> out) {
  const Parsed parsed = parse(stored, out.size());
  static PerThread<Scratch> scratches;
  Scratch& scratch = scratches.get();
  const auto space = scratch.get(parsed.count * parsed.scalar_size);
  std::array<const std::byte*, max_scalar_size> sources{};
  for (std::size_t k = 0; k < parsed.scalar_size; ++k) {
    const Plane& plane = parsed.planes[k];
    const auto bytes = space.subspan(k * parsed.count, parsed.count);
    sources[k] = plane.method == PlaneMethod::raw ? plane.stored.data() : bytes.data();
    if (plane.method == PlaneMethod::zstd) decompress_frame(plane.stored, bytes);
    if (plane.method == PlaneMethod::constant) decode_constant(plane.stored, bytes);
  }
  merge_planes(sources, parsed.count, parsed.scalar_size, parsed.rotated, out.data());
  if (!parsed.tail.empty()) {
    std::memcpy(out.data() + parsed.count * parsed.scalar_size, parsed.tail.data(),
                parsed.tail.size());
  }
  scratch.trim();
}

}  // namespace ckp::format

#include "zstd_frame.h"

#include <fmt/format.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <memory>
#include <new>

#include "ckp/error.h"
#include "ckp/format/codec.h"
#include "ckp/format/per_thread.h"

namespace ckp::format {
namespace {

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using Compressor = std::unique_ptr<ZSTD_CCtx, FreeCompressor>;
using Decompressor = std::unique_ptr<ZSTD_DCtx, FreeDecompressor>;

constexpr int thorough_level = 6;

void set(ZSTD_CCtx* context, ZSTD_cParameter parameter, int value) {
  const std::size_t result = ZSTD_CCtx_setParameter(context, parameter, value);
  if (ZSTD_isError(result) != 0) {
    throw Error(ErrorCode::unsupported,
                fmt::format("zstd {} refuses parameter {} = {}: {}", ZSTD_versionString(),
                            static_cast<int>(parameter), value, ZSTD_getErrorName(result)));
  }
}

Compressor make_compressor(ZstdMode mode) {
  Compressor context(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  set(context.get(), ZSTD_c_compressionLevel, mode == ZstdMode::thorough ? thorough_level : 1);
  if (mode == ZstdMode::huffman) {
    // Matches of seven bytes found through 64 slots: practically none, at no cost. A non-zero
    // targetLength would speed up the search and switch Huffman coding off; 0 is level 1's own.
    set(context.get(), ZSTD_c_strategy, ZSTD_fast);
    set(context.get(), ZSTD_c_minMatch, 7);
    set(context.get(), ZSTD_c_hashLog, 6);
  }
  return context;
}

ZSTD_CCtx* compressor(ZstdMode mode) {
  static PerThread<Compressor> huffman, matches, thorough;
  Compressor& context = (mode == ZstdMode::huffman   ? huffman
                         : mode == ZstdMode::matches ? matches
                                                     : thorough)
                            .get();
  if (!context) context = make_compressor(mode);
  return context.get();
}

ZSTD_DCtx* decompressor() {
  static PerThread<Decompressor> contexts;
  Decompressor& context = contexts.get();
  if (!context) {
    context.reset(ZSTD_createDCtx());
    if (!context) throw std::bad_alloc();
  }
  return context.get();
}

}  // namespace

std::size_t compress_frame(ZstdMode mode, std::span<const std::byte> raw,
                           std::span<std::byte> out) {
  const std::size_t size =
      ZSTD_compress2(compressor(mode), out.data(), out.size(), raw.data(), raw.size());
  if (ZSTD_isError(size) == 0) return size;
  if (ZSTD_getErrorCode(size) == ZSTD_error_dstSize_tooSmall) return 0;
  if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) throw std::bad_alloc();
  throw Error(ErrorCode::io, fmt::format("zstd cannot compress: {}", ZSTD_getErrorName(size)));
}

void decompress_frame(std::span<const std::byte> stored, std::span<std::byte> out) {
  const std::size_t size =
      ZSTD_decompressDCtx(decompressor(), out.data(), out.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) != 0) {
    if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) throw std::bad_alloc();
    throw Error(ErrorCode::corrupt,
                fmt::format("zstd frame of {} bytes: {}", stored.size(), ZSTD_getErrorName(size)));
  }
  if (size != out.size()) {
    throw Error(ErrorCode::corrupt,
                fmt::format("zstd frame of {} bytes holds {} bytes, expected {}", stored.size(),
                            size, out.size()));
  }
}

std::string_view zstd_version() { return ZSTD_versionString(); }

}  // namespace ckp::format

// Limits that are checked before anything is allocated or believed (spec/format.md, "Limits").
#pragma once

#include <cstddef>
#include <cstdint>

namespace ckp::format::limits {

constexpr std::uint32_t chunk_raw_size = 64u << 20;  // raw bytes of one chunk, at most
constexpr std::uint32_t chunk_default_size = 1u << 20;
constexpr std::uint32_t small_storage_size = 64u << 10;  // smaller storages share chunks
constexpr std::uint64_t manifest_raw_size = 1ull << 30;
constexpr std::uint32_t journal_record_size = 16u << 20;
constexpr std::size_t name_size = 4096;  // tensor names, bytes of UTF-8
constexpr std::size_t tensor_rank = 64;
constexpr std::size_t cbor_depth = 64;
constexpr std::size_t differences_of_piece = 16;
constexpr std::uint8_t base_depth = 255;

}  // namespace ckp::format::limits

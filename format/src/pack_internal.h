// What writing, reading and scanning a pack have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/error.h"
#include "ckp/format/pack.h"

namespace ckp::format {

[[noreturn]] inline void corrupt(const std::string& what) {
  throw Error(ErrorCode::corrupt, what);
}

// Records start at multiples of this, whatever the payloads' alignment.
constexpr std::uint64_t record_alignment = 64;

// The most raw bytes that a manifest of so many stored bytes may have: no file of a few kilobytes
// makes a reader allocate gigabytes. A writer stores what compresses better than that as it is.
constexpr std::uint64_t largest_manifest(std::uint64_t stored_size) {
  constexpr std::uint64_t always = 1u << 20;
  constexpr std::uint64_t expansion = 256;
  return always + expansion * stored_size;
}

// Where the next record's header goes, so that its payload is aligned.
std::uint64_t next_record_offset(std::uint64_t offset, std::uint8_t alignment_log2);

// The rows of a chunk table.
std::vector<std::byte> encode_table(std::span<const TableEntry> entries);
std::vector<TableEntry> decode_table(std::span<const std::byte> raw);

std::string_view to_string(RecordKind kind);
// "chunk 17 at offset 4096", "manifest 0 (copy 1) at offset 4096".
std::string describe(RecordKind kind, std::uint32_t number, std::uint32_t copy,
                     std::uint64_t offset);
std::string describe(const TableEntry& entry);
TableEntry table_entry(const RecordHeader& header, std::uint64_t offset);

// Runs `action`; an Error gets `prefix` and a colon before its message.
template <class Action>
auto with_prefix(const std::string& prefix, Action action) {
  try {
    return action();
  } catch (const Error& error) {
    throw Error(error.code(), prefix + ": " + error.what());
  }
}

}  // namespace ckp::format

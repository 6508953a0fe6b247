// What encoding and decoding a manifest have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ckp/error.h"
#include "ckp/format/manifest.h"

namespace ckp::format {

constexpr std::size_t section_header_size = 16;
constexpr std::uint16_t section_required = 1;

// Bytes per row of a section's columns, without what is counted apart.
constexpr std::uint64_t reference_row_size = 4 + 4 + 4 + 16;
constexpr std::uint64_t storage_row_size = 8 + 4;
constexpr std::uint64_t piece_row_size = 4 + 4 + 4;
constexpr std::uint64_t patch_row_size = 4 + 4 + 8 + 8;
constexpr std::uint64_t difference_row_size = 4 + 4 + 4 + 1;
constexpr std::uint64_t derived_row_size = 4 + 4 + 4 + 1;
constexpr std::uint64_t tensor_row_size = 4 + 2 + 2 + 4 + 8 + 1 + 1;
constexpr std::uint64_t dimension_row_size = 8 + 8;  // shape and stride, or global shape and offset

// All rules on a manifest's contents. Throws Error(`code`) naming section, entry and field.
void check_manifest(const Manifest& manifest, ErrorCode code);

}  // namespace ckp::format

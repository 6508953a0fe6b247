// The decoders behind decode(); their stored forms are described in spec/format.md, "Codecs".
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ckp/format/codec.h"

namespace ckp::format {

// False, and `out` is unspecified, when the stored form would not be smaller than `raw`.
bool store_constant(std::span<const std::byte> raw, std::vector<std::byte>& out);
bool store_planes(std::span<const std::byte> raw, std::size_t scalar_size, Compression compression,
                  std::vector<std::byte>& out);

void decode_constant(std::span<const std::byte> stored, std::span<std::byte> out);
void decode_planes(std::span<const std::byte> stored, std::span<std::byte> out);

}  // namespace ckp::format

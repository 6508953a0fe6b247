// The decoders behind decode(); their stored forms are described in spec/format.md, "Codecs".
#pragma once

#include <cstddef>
#include <span>

namespace ckp::format {

void decode_constant(std::span<const std::byte> stored, std::span<std::byte> out);
void decode_planes(std::span<const std::byte> stored, std::span<std::byte> out);

}  // namespace ckp::format

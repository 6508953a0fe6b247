// Fixed-size structures that end in a checksum over everything before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ckp/format/features.h"
#include "ckp/format/wire.h"

namespace ckp::format {

void write_versions(Writer& out, const Versions& versions);
Versions read_versions(Reader& in);
void write_features(Writer& out, const Features& features);
Features read_features(Reader& in);

// Fills up with zeros to `size` - 8 and adds the checksum.
std::vector<std::byte> seal(Writer& out, std::size_t size);

// Whether the last 8 of `bytes` are the checksum of those before.
bool is_sealed(std::span<const std::byte> bytes);

}  // namespace ckp::format

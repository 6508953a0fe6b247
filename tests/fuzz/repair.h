// Makes the checksums of damaged files right again, in place.
#pragma once

#include <cstddef>
#include <span>

#include "ckp/format/record.h"
#include "fuzz/mutate.h"

namespace ckp::fuzz {

using MutableBytes = std::span<std::byte>;

// `header`: RecordHeader::size bytes.
void repair_record_header(MutableBytes header, const format::RecordPlace& place);

// Header, trailer and every record at a multiple of 64; with Repair::agreement also the chunk table
// and the references of manifests that are stored raw.
void repair_pack(MutableBytes file, Repair what);

// Header, and every record that fits behind its magic.
void repair_journal(MutableBytes file, Repair what);

}  // namespace ckp::fuzz

// Offsets are those of spec/format.md.
#include <algorithm>
#include <map>
#include <vector>

#include "ckp/digest.h"
#include "ckp/error.h"
#include "ckp/format/codec.h"
#include "ckp/format/manifest.h"
#include "ckp/format/pack.h"
#include "fuzz/bytes.h"
#include "fuzz/repair.h"
#include "support/fixed_header.h"

namespace ckp::fuzz {
namespace {

using format::RecordHeader;
using format::RecordKind;
using format::TableEntry;

constexpr std::size_t alignment = 64;
constexpr std::size_t uuid_at = 40, generation_at = 56;  // in the pack's header and trailer
constexpr std::size_t kind_at = 8, number_at = 12, raw_size_at = 24, stored_size_at = 32,
                      digest_at = 40, stored_checksum_at = 56;  // in a record's header
constexpr std::size_t largest_decoded = 1u << 20;

void put_digest(MutableBytes bytes, std::size_t at, const Digest& digest) {
  put_number(bytes, at, 8, digest.low);
  put_number(bytes, at + 8, 8, digest.high);
}

class PackRepair {
 public:
  PackRepair(MutableBytes file, Repair what) : file_(file), what_(what) {
    std::copy_n(file.begin() + uuid_at, 16, uuid_.bytes.begin());
    generation_ = static_cast<std::uint32_t>(get_number(file, generation_at, 4));
  }

  void run() {
    test::reseal(file_.first(format::PackHeader::size));
    repair_trailer();
    for (const auto kind : {RecordKind::chunk, RecordKind::manifest, RecordKind::chunk_table}) {
      for (std::size_t at = format::PackHeader::size; at < end(); at += alignment) {
        if (is_record(at, kind)) repair_record(at, kind);
      }
    }
  }

 private:
  std::size_t end() const { return file_.size() - format::PackTrailer::size; }

  void repair_trailer() {
    const MutableBytes trailer = file_.last(format::PackTrailer::size);
    if (what_ == Repair::agreement) {
      std::copy(uuid_.bytes.begin(), uuid_.bytes.end(), trailer.begin() + uuid_at);
      put_number(trailer, generation_at, 4, generation_);
      constexpr std::size_t file_size_at = 80;
      put_number(trailer, file_size_at, 8, file_.size());
    }
    test::reseal(trailer);
  }

  bool is_record(std::size_t at, RecordKind kind) const {
    return at % alignment == 0 && at <= end() && end() - at >= RecordHeader::size &&
           format::has_record_magic(file_.subspan(at)) &&
           std::to_integer<unsigned>(file_[at + kind_at]) == static_cast<unsigned>(kind);
  }

  void repair_record(std::size_t at, RecordKind kind) {
    const MutableBytes header = file_.subspan(at, RecordHeader::size);
    const std::uint64_t room = end() - at - RecordHeader::size;
    const std::uint64_t stored_size = get_number(header, stored_size_at, 8);
    if (stored_size <= room) {
      repair_stored(header, file_.subspan(at + RecordHeader::size, stored_size), kind);
    }
    repair_record_header(header, {uuid_, at, generation_});
  }

  void repair_stored(MutableBytes header, MutableBytes stored, RecordKind kind) {
    const auto codec = static_cast<format::Codec>(header[kind_at + 1]);
    if (what_ == Repair::agreement && codec == format::Codec::raw) {
      put_number(header, raw_size_at, 8, stored.size());
      if (kind == RecordKind::chunk_table) repair_rows(stored);
      if (kind == RecordKind::manifest) repair_manifest(stored);
    }
    put_number(header, stored_checksum_at, 8, checksum_of(stored));
    repair_digest(header, stored, codec);
    if (kind == RecordKind::chunk) {
      chunks_[get_number(header, number_at, 4)] = {header.begin(), header.end()};
    }
  }

  // The digest of what the stored bytes decode to, if they do.
  static void repair_digest(MutableBytes header, MutableBytes stored, format::Codec codec) {
    const std::uint64_t raw_size = get_number(header, raw_size_at, 8);
    if (raw_size > largest_decoded) return;
    std::vector<std::byte> raw(raw_size);
    try {
      format::decode(codec, stored, raw);
    } catch (const Error&) {
      return;
    }
    put_digest(header, digest_at, digest_of(raw));
  }

  // Each row says what the header at its offset says, if one is there.
  void repair_rows(MutableBytes table) const {
    for (std::size_t row = 0; row + TableEntry::size <= table.size(); row += TableEntry::size) {
      const MutableBytes entry = table.subspan(row, TableEntry::size);
      const std::uint64_t at = get_number(entry, 16, 8);
      if (!is_record(at, RecordKind::chunk) && !is_record(at, RecordKind::manifest)) continue;
      const MutableBytes header = file_.subspan(at, RecordHeader::size);
      std::copy_n(header.begin() + kind_at, 4, entry.begin());        // kind, codec, depth, zero
      std::copy_n(header.begin() + number_at, 8, entry.begin() + 4);  // number, copy
      put_number(entry, 24, 4, get_number(header, raw_size_at, 8));
      put_number(entry, 28, 4, get_number(header, stored_size_at, 8));
      std::copy_n(header.begin() + digest_at, 16, entry.begin() + 32);
    }
  }

  // References to chunks of this pack expect what the chunks have.
  void repair_manifest(MutableBytes raw) const {
    constexpr std::size_t section_header = 16;
    for (std::size_t at = 0; raw.size() - at >= section_header;) {
      const std::uint64_t length = get_number(raw, at + 8, 8);
      const auto number = static_cast<format::Section>(get_number(raw, at, 2));
      at += section_header;
      if (length > raw.size() - at) return;
      if (number == format::Section::references) repair_references(raw.subspan(at, length));
      at += length;
    }
  }

  void repair_references(MutableBytes section) const {
    if (section.size() < 8) return;
    const std::uint64_t packs = get_number(section, 0, 4), count = get_number(section, 4, 4);
    if (section.size() - 8 != packs * 16 + count * 28) return;
    const std::size_t pack = 8 + packs * 16, chunk = pack + 4 * count, size = chunk + 4 * count,
                      digest = size + 4 * count;
    for (std::size_t i = 0; i < count; ++i) {
      const auto found = chunks_.find(get_number(section, chunk + 4 * i, 4));
      if (get_number(section, pack + 4 * i, 4) != 0 || found == chunks_.end()) continue;
      put_number(section, size + 4 * i, 4, get_number(found->second, raw_size_at, 8));
      std::copy_n(found->second.begin() + digest_at, 16, section.subspan(digest + 16 * i).begin());
    }
  }

  const MutableBytes file_;
  const Repair what_;
  Uuid uuid_;
  std::uint32_t generation_ = 0;
  std::map<std::uint64_t, std::vector<std::byte>> chunks_;  // headers by number
};

}  // namespace

void repair_record_header(MutableBytes header, const format::RecordPlace& place) {
  constexpr std::size_t checksum_at = RecordHeader::size - 8;
  std::vector<std::byte> covered(header.begin(), header.begin() + checksum_at);
  covered.insert(covered.end(), place.pack.bytes.begin(), place.pack.bytes.end());
  covered.resize(covered.size() + 12);
  put_number(covered, covered.size() - 12, 8, place.offset);
  put_number(covered, covered.size() - 4, 4, place.generation);
  put_number(header, checksum_at, 8, checksum_of(covered));
}

void repair_pack(MutableBytes file, Repair what) {
  if (file.size() < format::PackHeader::size + format::PackTrailer::size) return;
  PackRepair(file, what).run();
}

}  // namespace ckp::fuzz

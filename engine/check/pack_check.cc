#include "check/pack_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ckp/error.h"
#include "ckp/format/patch.h"
#include "ckp/format/per_thread.h"
#include "ckp/format/record.h"

namespace ckp {
namespace {

using format::RecordHeader;
using format::TableEntry;

constexpr std::uint64_t piece_size = 1u << 20;   // stays in the processor's cache
constexpr std::uint64_t large_chunk = 4u << 20;  // is not read in one go
constexpr std::size_t headers_per_piece = 256;   // at level structure

std::vector<std::byte>& thread_buffer() {
  static format::PerThread<std::vector<std::byte>> buffers;
  return buffers.get();
}

std::int64_t signed_offset(std::uint64_t offset) { return static_cast<std::int64_t>(offset); }

}  // namespace

PackChecker::PackChecker(std::shared_ptr<const format::ByteSource> source, const CheckScope& scope,
                         ProgressCounter& counter)
    : source_(std::move(source)), scope_(scope), counter_(counter) {
  check_.source = source_;
}

void PackChecker::report(std::int64_t chunk, std::int64_t offset, std::string message) {
  const std::lock_guard guard(mutex_);
  check_.problems.push_back({chunk, offset, std::move(message)});
}

template <class Check>
void PackChecker::report_chunk(const TableEntry& entry, const Check& check) {
  try {
    check();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_resources) throw;
    report(entry.number, signed_offset(entry.offset), error.what());
  }
}

void PackChecker::open() {
  try {
    read_directory();
    if (!check_.directory) return;
    check_manifests();
    lay_out();
    cut_pieces();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_resources) throw;
    if (error.code() == ErrorCode::newer_format) {
      check_.refused = error;
    } else {
      report(-1, -1, error.what());
    }
  }
}

// A damaged trailer or table is reported, and the records are found by scanning.
void PackChecker::read_directory() {
  try {
    check_.directory = format::read_directory(*source_);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::newer_format) throw;
    if (error.code() == ErrorCode::out_of_resources) throw;
    report(-1, -1, error.what());
    try {
      check_.directory = format::scan_directory(*source_);
    } catch (const Error&) {
      // Not even a header: there is nothing to look into.
    }
  }
}

void PackChecker::check_manifests() {
  const format::PackDirectory& directory = *check_.directory;
  if (directory.manifests.empty()) {
    if (directory.scanned) report(-1, -1, fmt::format("{}: no manifest found", source_->name()));
    return;
  }
  std::vector<std::string> damage;
  try {
    check_.manifest = format::read_manifest(*source_, directory, 0, &damage);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_resources) throw;
    report(-1, -1, error.what());
  }
  for (std::string& line : damage) report(-1, -1, std::move(line));
  if (!check_.manifest || scope_.level != VerifyLevel::full) return;
  for (const format::Patch& patch : check_.manifest->patches) {
    const format::ChunkAddress& chunk = check_.manifest->references[patch.reference].address;
    if (chunk.pack.is_nil()) patched_lengths_.emplace(chunk.number, patch.length);
  }
}

// A patch that no load could apply.
void PackChecker::check_patches(const TableEntry& entry, std::span<const std::byte> raw) const {
  const auto [begin, end] = patched_lengths_.equal_range(entry.number);
  for (auto patch = begin; patch != end; ++patch) {
    try {
      format::decode_patch(raw, patch->second);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: chunk {} at offset {}: {}", source_->name(),
                                            entry.number, entry.offset, error.what()));
    }
  }
}

void PackChecker::lay_out() {
  const format::PackDirectory& directory = *check_.directory;
  extents_.reserve(directory.chunks.size() + 2 * directory.manifests.size() + 3);
  for (const TableEntry& entry : directory.chunks) {
    extents_.push_back(
        {entry.offset, entry.offset + RecordHeader::size + entry.stored_size, &entry});
  }
  if (!directory.scanned) add_other_extents();
  std::sort(extents_.begin(), extents_.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  if (!directory.scanned) check_gaps();
}

void PackChecker::add_other_extents() {
  const format::PackDirectory& directory = *check_.directory;
  extents_.push_back({0, format::PackHeader::size});
  for (const TableEntry& entry : directory.manifests) {
    extents_.push_back({entry.offset, entry.offset + RecordHeader::size + entry.stored_size});
  }
  const std::uint64_t trailer = directory.file_size - format::PackTrailer::size;
  std::array<std::byte, format::PackTrailer::size> bytes{};
  source_->read(trailer, bytes);
  const std::uint64_t table = format::decode_pack_trailer(bytes).table_offset;
  const std::uint64_t rows = directory.chunks.size() + directory.manifests.size();
  extents_.push_back({table, table + RecordHeader::size + rows * TableEntry::size});
  extents_.push_back({trailer, directory.file_size});
}

// Records neither overlap nor leave room for anything but padding.
void PackChecker::check_gaps() {
  const std::uint64_t alignment = std::uint64_t{1} << check_.directory->header.alignment_log2;
  std::uint64_t end = 0;
  for (const Extent& extent : extents_) {
    if (extent.begin < end) {
      report(-1, signed_offset(extent.begin),
             fmt::format("{}: offset {}: records overlap", source_->name(), extent.begin));
    } else if (extent.begin - end >= alignment) {
      report(-1, signed_offset(end),
             fmt::format("{}: offset {}: {} bytes belong to no record", source_->name(), end,
                         extent.begin - end));
    }
    end = std::max(end, extent.end);
  }
}

bool PackChecker::is_wanted(const Extent& extent) const {
  if (extent.chunk == nullptr) return scope_.level != VerifyLevel::structure;
  return scope_.level == VerifyLevel::structure ||
         scope_.share.holds({check_.directory->header.uuid, extent.chunk->number});
}

void PackChecker::cut_pieces() {
  const bool headers_only = scope_.level == VerifyLevel::structure;
  for (std::size_t i = 0; i < extents_.size(); ++i) {
    if (!is_wanted(extents_[i])) continue;
    const bool goes_on = !pieces_.empty() && pieces_.back().last == i;
    const bool fits =
        goes_on &&
        (headers_only ? i - pieces_.back().first < headers_per_piece
                      : extents_[i].end - extents_[pieces_.back().first].begin <= piece_size);
    if (fits) {
      ++pieces_.back().last;
    } else {
      pieces_.push_back({i, i + 1});
    }
  }
}

void PackChecker::check_piece(std::size_t number) {
  const Piece& piece = pieces_[number];
  const bool headers_only = scope_.level == VerifyLevel::structure;
  std::uint64_t bytes = 0;
  for (std::size_t i = piece.first; i < piece.last; ++i) {
    bytes += headers_only ? RecordHeader::size : extents_[i].end - extents_[i].begin;
    chunks_ += extents_[i].chunk != nullptr ? 1 : 0;
  }
  if (headers_only) {
    check_headers(piece);
  } else {
    check_each(piece);
  }
  counter_.add(bytes);
}

void PackChecker::check_headers(const Piece& piece) {
  for (std::size_t i = piece.first; i < piece.last; ++i) {
    const TableEntry& entry = *extents_[i].chunk;
    report_chunk(entry, [&] { format::read_record_header(*source_, *check_.directory, entry); });
  }
}

// Of the zeros behind an extent. Other gaps have been reported.
std::uint64_t PackChecker::padding_end(std::size_t extent) const {
  const std::uint64_t end = extents_[extent].end;
  if (check_.directory->scanned || extent + 1 == extents_.size()) return end;
  const std::uint64_t next = extents_[extent + 1].begin;
  const std::uint64_t alignment = std::uint64_t{1} << check_.directory->header.alignment_log2;
  return next < end || next - end >= alignment ? end : next;
}

bool PackChecker::read_piece(const Piece& piece, std::vector<std::byte>& buffer) {
  const std::uint64_t begin = extents_[piece.first].begin;
  const std::uint64_t end = padding_end(piece.last - 1);
  if (end < begin || end - begin > large_chunk) return false;
  buffer.resize(end - begin);
  try {
    source_->read(begin, buffer);
    return true;
  } catch (const Error&) {
    return false;  // one by one, to name the one
  }
}

void PackChecker::check_each(const Piece& piece) {
  std::vector<std::byte>& buffer = thread_buffer();
  const bool in_memory = read_piece(piece, buffer);
  const std::uint64_t base = extents_[piece.first].begin;
  for (std::size_t i = piece.first; i < piece.last; ++i) {
    const Extent& extent = extents_[i];
    const std::uint64_t size = extent.end - extent.begin;
    const bool here = in_memory && extent.begin - base + size <= buffer.size();
    if (extent.chunk != nullptr) {
      report_chunk(*extent.chunk, [&] {
        if (here)
          return check_chunk(std::span(buffer).subspan(extent.begin - base, size), *extent.chunk);
        check_alone(*extent.chunk);
      });
    }
    const std::uint64_t padding = padding_end(i) - extent.end;
    if (padding == 0) continue;
    if (here && extent.end - base + padding <= buffer.size()) {
      check_zero(std::span(buffer).subspan(extent.end - base, padding), extent.end);
    } else {
      check_padding(extent.end, padding);
    }
  }
}

void PackChecker::check_padding(std::uint64_t begin, std::uint64_t size) {
  try {
    std::vector<std::byte> bytes(size);
    source_->read(begin, bytes);
    check_zero(bytes, begin);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_resources) throw;
    report(-1, signed_offset(begin), error.what());
  }
}

void PackChecker::check_chunk(std::span<const std::byte> record, const TableEntry& entry) {
  const auto header = format::check_record(record, *source_, *check_.directory, entry);
  if (scope_.level != VerifyLevel::full) return;
  const auto stored = record.subspan(RecordHeader::size);
  static format::PerThread<std::vector<std::byte>> buffers;
  std::vector<std::byte>& raw = buffers.get();
  raw.resize(entry.raw_size);
  std::span<const std::byte> decoded = stored;
  if (header.codec != format::Codec::raw) {
    format::decode(header.codec, stored, raw);
    decoded = raw;
  }
  if (digest_of(decoded) == entry.raw_digest) return check_patches(entry, decoded);
  format::read_chunk(*source_, *check_.directory, entry, raw);  // says what differs
}

void PackChecker::check_alone(const TableEntry& entry) {
  if (scope_.level == VerifyLevel::full) {
    std::vector<std::byte> raw(entry.raw_size);
    format::read_chunk(*source_, *check_.directory, entry, raw);
    check_patches(entry, raw);
  } else if (entry.stored_size > large_chunk) {
    check_in_stretches(entry);
  } else {
    format::read_record(*source_, *check_.directory, entry);
  }
}

void PackChecker::check_in_stretches(const TableEntry& entry) {
  const auto header = format::read_record_header(*source_, *check_.directory, entry);
  std::vector<std::byte>& buffer = thread_buffer();
  DigestStream stream;
  for (std::uint64_t at = 0; at < entry.stored_size; at += piece_size) {
    buffer.resize(std::min<std::uint64_t>(piece_size, entry.stored_size - at));
    source_->read(entry.offset + RecordHeader::size + at, buffer);
    stream.update(buffer);
  }
  if (stream.checksum() == header.stored_checksum) return;
  format::read_record(*source_, *check_.directory, entry);  // says what differs
}

void PackChecker::check_zero(std::span<const std::byte> padding, std::uint64_t begin) {
  const auto bad = std::find_if(padding.begin(), padding.end(),
                                [](std::byte byte) { return byte != std::byte{0}; });
  if (bad == padding.end()) return;
  const auto offset = begin + static_cast<std::uint64_t>(bad - padding.begin());
  report(-1, signed_offset(offset),
         fmt::format("{}: offset {}: padding is {:#04x}, expected 0", source_->name(), offset,
                     static_cast<unsigned>(*bad)));
}

PackCheck PackChecker::finish() {
  check_.chunks = chunks_;
  // Threads find damage in any order.
  std::stable_sort(check_.problems.begin(), check_.problems.end(),
                   [](const PackProblem& a, const PackProblem& b) { return a.offset < b.offset; });
  if (check_.problems.empty()) check_.manifest.reset();
  return std::move(check_);
}

}  // namespace ckp

#include "check/pack_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "ckp/error.h"
#include "ckp/format/record.h"
#include "save/parallel.h"

namespace ckp {
namespace {

using format::PackDirectory;
using format::RecordHeader;
using format::TableEntry;

constexpr std::size_t chunks_per_thread_start = 8;  // fewer are not worth starting threads

class PackChecker {
 public:
  PackChecker(const format::ByteSource& source, VerifyLevel level, unsigned threads,
              const ByteCounter& count)
      : source_(source), level_(level), threads_(thread_count(threads)), count_(count) {}

  PackCheck run() {
    read_directory();
    if (!check_.directory) return std::move(check_);
    check_manifests();
    check_chunks();
    if (!check_.directory->scanned) check_padding();
    return std::move(check_);
  }

 private:
  void report(std::int64_t chunk, std::int64_t offset, std::string message) {
    const std::lock_guard guard(mutex_);
    check_.problems.push_back({chunk, offset, std::move(message)});
  }

  // A damaged trailer or table is reported, and the records are found by scanning.
  void read_directory() {
    try {
      check_.directory = format::read_directory(source_);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::newer_format) throw;
      report(-1, -1, error.what());
      try {
        check_.directory = format::scan_directory(source_);
      } catch (const Error&) {
        // Not even a header: there is nothing to look into.
      }
    }
  }

  void check_manifests() {
    std::vector<std::string> damage;
    const PackDirectory& directory = *check_.directory;
    if (directory.manifests.empty()) {
      if (directory.scanned) report(-1, -1, fmt::format("{}: no manifest found", source_.name()));
      return;
    }
    try {
      check_.manifest = format::read_manifest(source_, directory, 0, &damage);
    } catch (const Error& error) {
      report(-1, -1, error.what());
    }
    for (std::string& line : damage) report(-1, -1, std::move(line));
    for (const TableEntry& entry : directory.manifests) {
      count_(RecordHeader::size + entry.stored_size);
    }
  }

  void check_chunks() {
    const auto& chunks = check_.directory->chunks;
    const unsigned threads = chunks.size() < chunks_per_thread_start ? 1 : threads_;
    parallel_for(chunks.size(), threads, [&](std::size_t i) {
      if (!count_(RecordHeader::size + chunks[i].stored_size)) return;
      try {
        check_chunk(chunks[i]);
      } catch (const Error& error) {
        report(chunks[i].number, static_cast<std::int64_t>(chunks[i].offset), error.what());
      }
    });
    check_.chunks = chunks.size();
  }

  void check_chunk(const TableEntry& entry) const {
    if (level_ == VerifyLevel::structure) {
      std::array<std::byte, RecordHeader::size> bytes{};
      source_.read(entry.offset, bytes);
      const auto& header = check_.directory->header;
      format::decode_record_header(bytes, {header.uuid, entry.offset, header.generation});
    } else if (level_ == VerifyLevel::stored) {
      format::read_record(source_, *check_.directory, entry);
    } else {
      thread_local std::vector<std::byte> raw;
      raw.resize(entry.raw_size);
      format::read_chunk(source_, *check_.directory, entry, raw);
    }
  }

  struct Extent {
    std::uint64_t begin = 0, end = 0;
  };

  // Where header, records, table and trailer lie; what is between them must be zero.
  std::vector<Extent> extents() const {
    const PackDirectory& directory = *check_.directory;
    std::vector<Extent> all{{0, format::PackHeader::size}};
    for (const auto* entries : {&directory.chunks, &directory.manifests}) {
      for (const TableEntry& entry : *entries) {
        all.push_back({entry.offset, entry.offset + RecordHeader::size + entry.stored_size});
      }
    }
    const std::uint64_t trailer_offset = directory.file_size - format::PackTrailer::size;
    std::array<std::byte, format::PackTrailer::size> bytes{};
    source_.read(trailer_offset, bytes);
    const std::uint64_t table = format::decode_pack_trailer(bytes).table_offset;
    std::array<std::byte, RecordHeader::size> header{};
    source_.read(table, header);
    const auto record = format::decode_record_header(
        header, {directory.header.uuid, table, directory.header.generation});
    all.push_back({table, table + RecordHeader::size + record.stored_size});
    all.push_back({trailer_offset, directory.file_size});
    std::sort(all.begin(), all.end(),
              [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    return all;
  }

  void check_padding() {
    const std::uint64_t alignment = std::uint64_t{1} << check_.directory->header.alignment_log2;
    std::uint64_t end = 0;
    for (const Extent& extent : extents()) {
      if (extent.begin < end) {
        report(-1, static_cast<std::int64_t>(extent.begin),
               fmt::format("{}: offset {}: records overlap", source_.name(), extent.begin));
      } else if (extent.begin - end >= alignment) {
        report(-1, static_cast<std::int64_t>(end),
               fmt::format("{}: offset {}: {} bytes belong to no record", source_.name(), end,
                           extent.begin - end));
      } else {
        check_zero({end, extent.begin});
      }
      end = std::max(end, extent.end);
    }
  }

  void check_zero(const Extent& gap) {
    std::vector<std::byte> bytes(gap.end - gap.begin);
    source_.read(gap.begin, bytes);
    const auto bad = std::find_if(bytes.begin(), bytes.end(),
                                  [](std::byte byte) { return byte != std::byte{0}; });
    if (bad == bytes.end()) return;
    const auto offset = gap.begin + static_cast<std::uint64_t>(bad - bytes.begin());
    report(-1, static_cast<std::int64_t>(offset),
           fmt::format("{}: offset {}: padding is {:#04x}, expected 0", source_.name(), offset,
                       static_cast<unsigned>(*bad)));
  }

  const format::ByteSource& source_;
  VerifyLevel level_;
  unsigned threads_;
  const ByteCounter& count_;
  std::mutex mutex_;  // guards check_.problems while threads run
  PackCheck check_;
};

}  // namespace

PackCheck check_pack(const format::ByteSource& source, VerifyLevel level, unsigned threads,
                     const ByteCounter& count) {
  return PackChecker(source, level, threads, count).run();
}

}  // namespace ckp

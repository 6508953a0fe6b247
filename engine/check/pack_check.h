// Checking every byte of packs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "check/chunk_share.h"
#include "check/progress_counter.h"
#include "ckp/error.h"
#include "ckp/file_system.h"
#include "ckp/format/manifest.h"
#include "ckp/format/pack.h"
#include "ckp/verify.h"

namespace ckp {

struct PackProblem {
  std::int64_t chunk = -1;   // chunk number, when it is a chunk
  std::int64_t offset = -1;  // in the file, when it is known
  std::string message;
};

struct PackCheck {
  std::vector<PackProblem> problems;
  // Everything else is empty then: the file was not looked at, and why.
  std::optional<Error> refused;
  // What could be read in spite of the problems. The manifest (number 0) is kept only when there
  // are some.
  std::shared_ptr<const format::ByteSource> source;
  std::optional<format::PackDirectory> directory;
  std::optional<format::Manifest> manifest;
  std::uint64_t chunks = 0;  // whose stored bytes, at level structure whose headers, were checked
};

struct CheckScope {
  VerifyLevel level = VerifyLevel::stored;
  ChunkShare share{1.0, 0};
};

// One pack. First `open`, then every piece, on any threads, then `finish`.
class PackChecker {
 public:
  // `scope` and `counter` outlive it.
  PackChecker(std::shared_ptr<const format::ByteSource> source, const CheckScope& scope,
              ProgressCounter& counter);

  // Header, trailer, chunk table, both copies of the manifests, and where everything lies. What is
  // damaged there is found by scanning, as far as it goes.
  void open();
  std::uint64_t file_size() const { return source_->size(); }
  std::uint64_t chunk_count() const {
    return check_.directory ? check_.directory->chunks.size() : 0;
  }
  // Pieces of about a MiB, in the order of the file.
  std::size_t pieces() const { return pieces_.size(); }
  void check_piece(std::size_t piece);
  PackCheck finish();

 private:
  struct Extent {
    std::uint64_t begin = 0, end = 0;
    const format::TableEntry* chunk = nullptr;  // nothing: another record, checked by open()
  };
  // Extents [first, last) and the padding behind each.
  struct Piece {
    std::size_t first = 0, last = 0;
  };

  void read_directory();
  void check_manifests();
  void lay_out();
  void add_other_extents();
  void check_gaps();
  void cut_pieces();
  bool is_wanted(const Extent& extent) const;
  std::uint64_t padding_end(std::size_t extent) const;
  void check_headers(const Piece& piece);
  bool read_piece(const Piece& piece, std::vector<std::byte>& buffer);
  void check_each(const Piece& piece);
  void check_chunk(std::span<const std::byte> record, const format::TableEntry& entry);
  void check_alone(const format::TableEntry& entry);
  void check_patches(const format::TableEntry& entry, std::span<const std::byte> raw) const;
  void check_in_stretches(const format::TableEntry& entry);
  void check_padding(std::uint64_t begin, std::uint64_t size);
  void check_zero(std::span<const std::byte> padding, std::uint64_t offset);
  void report(std::int64_t chunk, std::int64_t offset, std::string message);
  template <class Check>
  void report_chunk(const format::TableEntry& entry, const Check& check);

  const std::shared_ptr<const format::ByteSource> source_;
  const CheckScope& scope_;
  ProgressCounter& counter_;
  std::vector<Extent> extents_;  // by offset
  std::vector<Piece> pieces_;
  std::multimap<std::uint32_t, std::uint64_t> patched_lengths_;  // by chunk, at level full
  std::mutex mutex_;  // guards check_.problems while threads run
  std::atomic<std::uint64_t> chunks_{0};
  PackCheck check_;
};

// Checks many packs, several at a time, each file read from front to back. `take` gets the results
// in the order of `files`, on the calling thread; a file that has vanished is left out. Stops when
// `counter` says so.
void check_packs(FileSystem& fs, const std::vector<std::filesystem::path>& files,
                 const CheckScope& scope, unsigned threads, ProgressCounter& counter,
                 const std::function<void(std::size_t file, PackCheck& check)>& take);

}  // namespace ckp

// Journal files: the append-only records of one run, one file per writing process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ckp/format/features.h"
#include "ckp/uuid.h"
#include "ckp/value.h"

namespace ckp::format {

// The first 128 bytes of a journal.
struct JournalHeader {
  static constexpr std::size_t size = 128;
  Versions versions;
  Features features;
  Uuid run;
  Uuid journal;
};
std::vector<std::byte> encode_journal_header(const JournalHeader& header);
JournalHeader decode_journal_header(std::span<const std::byte> bytes);

// Numbers in files, never reused. A kind that this version does not know is decoded like the others
// and must be skipped by whoever reads the records.
enum class JournalKind : std::uint16_t {
  run_created = 1,     // name, experiment, parameters, tags, environment, metric directions
  attempt_opened = 2,  // number, the checkpoint it continued from, pid, host, its circumstances
  metrics = 3,         // points of metric series
  status = 4,          // in_progress, completed, failed, interrupted
  repaired = 5,        // what is missing above here is known to be lost
  marks = 6,           // only in a store's file `marks`: what people said about its checkpoints
  source_diff = 7,     // what the program's source differed by from its commit
};

// One record. Its checksums cover header and payload, the uuids of run and journal, and the file
// offset: bytes of another journal, or of another place in this one, are no record here.
struct JournalRecord {
  static constexpr std::size_t header_size = 40;
  JournalKind kind = JournalKind::metrics;
  std::uint64_t sequence = 0;  // 0, 1, 2, ... in this journal
  std::uint64_t commit = 0;    // the last commit number its writer had seen
  Value payload;               // CBOR
};
std::vector<std::byte> encode_journal_record(const JournalRecord& record, const JournalHeader& in,
                                             std::uint64_t offset);

// All that can be read from a journal's bytes, damage included.
struct JournalContents {
  JournalHeader header;
  struct Entry {
    std::uint64_t offset = 0;
    JournalRecord record;
  };
  std::vector<Entry> records;
  // Stretches that hold no valid record: [offset, end). The last one, when it reaches the end of
  // the file, may be a torn tail; whether it is damage is for the reader of the manifests' marks to
  // say.
  struct Gap {
    std::uint64_t offset = 0;
    std::uint64_t end = 0;
    std::string reason;
  };
  std::vector<Gap> gaps;
};
// Reads every valid record; a bad one is skipped to the next magic. Throws only when the header
// is unreadable (corrupt) or newer (newer_format).
JournalContents decode_journal(std::span<const std::byte> file);
// The same for some bytes of a journal, which begin at `offset` of the file: what stands before the
// first record that begins in them is a gap. Throws nothing.
JournalContents decode_journal_part(const JournalHeader& header, std::span<const std::byte> part,
                                    std::uint64_t offset);

}  // namespace ckp::format

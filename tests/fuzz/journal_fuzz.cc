// A journal: its header, its records, and what their payloads say about a run.
#include <algorithm>

#include "ckp/format/journal_record.h"
#include "fuzz/repair.h"
#include "fuzz/target.h"
#include "runs/record_codec.h"

namespace ckp::fuzz {
namespace {

using format::JournalContents;
using format::JournalKind;

// Records and gaps cover the file, in order and without overlap.
void check_cover(const JournalContents& contents, BytesView file) {
  std::uint64_t records_end = format::JournalHeader::size;
  auto gap = contents.gaps.begin();
  for (const auto& [offset, record] : contents.records) {
    while (gap != contents.gaps.end() && gap->offset < offset) {
      require(gap->offset >= records_end && gap->end > gap->offset && gap->end <= offset,
              "gaps lie between records");
      ++gap;
    }
    require(offset >= records_end, "records do not overlap");
    // The longer forms of CBOR are read, too: the size in the file may be larger.
    records_end = offset + format::JournalRecord::header_size + 1;
  }
  for (; gap != contents.gaps.end(); ++gap) {
    require(gap->offset >= records_end && gap->end <= file.size(), "gaps lie in the file");
  }
}

void read_payload(const format::JournalRecord& record) {
  switch (record.kind) {
    case JournalKind::run_created:
      if (const auto run = refused_or([&] { return run_from_created(record.payload); })) {
        require(run_from_created(run_created_payload(*run)) == *run,
                "a run's record survives being written again");
      }
      return;
    case JournalKind::attempt_opened:
      if (const auto attempt = refused_or([&] { return attempt_from_payload(record.payload); })) {
        require(attempt_from_payload(attempt_payload(*attempt)) == *attempt,
                "an attempt survives being written again");
      }
      return;
    case JournalKind::status:
      if (const auto status = refused_or([&] { return status_from_payload(record.payload); })) {
        require(status_from_payload(status_payload(*status)) == *status,
                "a status survives being written again");
      }
      return;
    default:  // read as plain values
      return;
  }
}

void fuzz_one(BytesView file) {
  const auto contents = refused_or([&] { return format::decode_journal(file); });
  if (!contents) return;
  check_cover(*contents, file);
  for (const auto& [offset, record] : contents->records) {
    read_payload(record);
    const auto encoded = format::encode_journal_record(record, contents->header, offset);
    auto file_again = format::encode_journal_header(contents->header);
    file_again.resize(offset);
    file_again.insert(file_again.end(), encoded.begin(), encoded.end());
    const auto again = format::decode_journal(file_again);
    require(again.records.size() == 1 && again.records[0].offset == offset &&
                again.records[0].record.payload == record.payload &&
                again.records[0].record.sequence == record.sequence &&
                again.records[0].record.commit == record.commit &&
                again.records[0].record.kind == record.kind,
            "a journal record survives being written again");
  }
}

}  // namespace
}  // namespace ckp::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ckp::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  return ckp::fuzz::mutate_and_repair(data, size, max_size, seed, 8, ckp::fuzz::repair_journal);
}

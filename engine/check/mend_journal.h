// A damaged journal, as far as it can be put right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "check/journal_check.h"

namespace ckp {

struct MendedJournal {
  std::vector<std::byte> bytes;  // of the whole file
  bool restores = false;         // every byte that the marks speak of is right
  std::uint64_t records = 0;     // readable, and kept
  std::uint64_t lost = 0;        // bytes that are no readable record, or that are missing
};

// The header anew from the file's name, every record where it was, and, when something is lost, a
// `repaired` record behind it that says so. Changes nothing.
MendedJournal mend_journal(FileSystem& fs, const JournalProblem& problem, const Uuid& run);

}  // namespace ckp

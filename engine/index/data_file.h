// Checks LMDB's data file with ordinary reads. LMDB 0.9 has no checksums and believes what it maps:
// a short file is a SIGBUS there, a damaged page a wrong answer or a crash.
#pragma once

#include <cstdint>

#include "ckp/file_system.h"

namespace ckp {

struct DataFileInfo {
  std::uint64_t page_size = 0;
  std::uint64_t last_page = 0;
  std::uint64_t transaction = 0;  // 0: no table has been made yet
};

enum class PageCheck {
  directory,  // both headers, the tree of table names, the table `meta`
  all,        // every page of every table, the free lists, and that no page is used twice
};

// Throws Error(corrupt) that names the page, or else LMDB can be let loose on these pages. The
// caller holds the index lock.
DataFileInfo check_data_file(const File& file, PageCheck what);

}  // namespace ckp

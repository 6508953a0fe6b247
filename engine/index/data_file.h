// Checks LMDB's data file with ordinary reads. LMDB 0.9 has no checksums and believes what it maps:
// a short file is a SIGBUS there, a damaged page a wrong answer or a crash.
#pragma once

#include <cstdint>
#include <vector>

#include "ckp/file_system.h"
#include "index/data_page.h"

namespace ckp {

// What the two headers and their lists of free pages say, when they fit each other.
struct DataState {
  DataMeta meta;            // of the newest transaction; 0: no table has been made yet
  std::vector<bool> taken;  // by page: free, or of a list of free pages; no table has it
};
DataState read_data_state(const File& file);

enum class PageCheck {
  directory,  // both headers, the free lists, the tree of table names, the table `meta`
  all,        // every page of every table, and that no page is used twice
};

// Throws Error(corrupt) that names the page, or else LMDB can be let loose on these pages. The
// caller holds the index lock.
void check_data_file(const File& file, PageCheck what);

}  // namespace ckp

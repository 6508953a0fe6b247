// For tests: the real file system as if it lacked something.
#pragma once

#include <memory>

#include "ckp/file_system.h"

namespace ckp {

struct PosixOptions {
  bool rename_noreplace = true;  // renameat2(RENAME_NOREPLACE); NFS has none
  bool hard_links = true;        // FAT and some network file systems have none
  bool direct_writes = true;     // O_DIRECT; some file systems have none
};

std::shared_ptr<FileSystem> posix_file_system(const PosixOptions& options);

}  // namespace ckp

// The golden files of format version 1, as this version of the code makes them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace ckp::golden {

struct File {
  std::string name;
  std::vector<std::byte> bytes;
  // Whether every build makes the same bytes: not where zstd, of whatever version, took part.
  bool reproducible = true;
};

std::vector<File> good_files();
// Files that a reader of version 1 must refuse, or read with an error.
std::vector<File> refused_files();

}  // namespace ckp::golden

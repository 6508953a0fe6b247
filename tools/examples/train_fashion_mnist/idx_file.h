// The files of MNIST and its relatives: https://yann.lecun.org/exdb/mnist/ ("IDX"), gzipped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace example {

struct IdxFile {
  std::vector<std::int64_t> shape;  // number of items first
  std::vector<std::uint8_t> bytes;
};

// Reads the first `items` items of a file of unsigned bytes, or all when it has fewer. Throws
// ckp::Error naming the file.
IdxFile read_idx(const std::filesystem::path& path, std::int64_t items);

}  // namespace example

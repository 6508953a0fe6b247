#include "idx_file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>

#include "ckp/error.h"

namespace example {
namespace {

class GzipFile {
 public:
  explicit GzipFile(const std::filesystem::path& path)
      : path_(path.string()), file_(gzopen(path_.c_str(), "rb"), &gzclose) {
    if (file_ != nullptr) return;
    throw ckp::Error(ckp::ErrorCode::not_found,
                     fmt::format("{}: cannot be opened; install the Debian package "
                                 "dataset-fashion-mnist, or name the folder with --data",
                                 path_));
  }

  void read(std::uint8_t* out, std::size_t size) {
    if (gzread(file_.get(), out, static_cast<unsigned>(size)) == static_cast<int>(size)) return;
    throw ckp::Error(ckp::ErrorCode::corrupt,
                     fmt::format("{}: ends early, or is no gzip file", path_));
  }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

std::int64_t read_size(GzipFile& file) {
  std::array<std::uint8_t, 4> b{};
  file.read(b.data(), b.size());
  return std::int64_t{b[0]} << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

}  // namespace

IdxFile read_idx(const std::filesystem::path& path, std::int64_t items) {
  GzipFile file(path);
  std::array<std::uint8_t, 4> magic{};  // two zeros, the type of the elements, the rank
  file.read(magic.data(), magic.size());
  constexpr std::uint8_t kUnsignedByte = 8;
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != kUnsignedByte || magic[3] < 1 || magic[3] > 3) {
    throw ckp::Error(ckp::ErrorCode::corrupt,
                     fmt::format("{}: is no IDX file of unsigned bytes", file.path()));
  }
  IdxFile idx;
  std::int64_t size = 1;
  for (int i = 0; i < magic[3]; ++i) {
    idx.shape.push_back(read_size(file));
    if (i == 0) idx.shape[0] = std::min(idx.shape[0], items);
    // No file of this kind comes near: a larger one is not what it says it is.
    constexpr std::int64_t kMost = std::int64_t{1} << 30;
    if (idx.shape.back() < 1 || idx.shape.back() > kMost / size) {
      throw ckp::Error(ckp::ErrorCode::corrupt,
                       fmt::format("{}: dimension {} is {}", file.path(), i, idx.shape.back()));
    }
    size *= idx.shape.back();
  }
  idx.bytes.resize(static_cast<std::size_t>(size));
  file.read(idx.bytes.data(), idx.bytes.size());
  return idx;
}

}  // namespace example

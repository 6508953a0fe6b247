#include "bench_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace ckp::bench {
namespace {

class Descriptor {
 public:
  explicit Descriptor(const std::filesystem::path& path)
      : path_(path), number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    check(number_ < 0 ? errno : 0);
  }
  ~Descriptor() { ::close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }
  void check(int error) const {
    if (error != 0) throw std::system_error(error, std::generic_category(), path_.string());
  }

 private:
  std::filesystem::path path_;
  int number_;
};

}  // namespace

void settle(const std::filesystem::path& directory) {
  const Descriptor file(directory);
  file.check(::syncfs(file.number()) != 0 ? errno : 0);
}

void sync_file(const std::filesystem::path& path) {
  const Descriptor file(path);
  file.check(::fsync(file.number()) != 0 ? errno : 0);
}

void forget(const std::filesystem::path& path) {
  const Descriptor file(path);
  file.check(::posix_fadvise(file.number(), 0, 0, POSIX_FADV_DONTNEED));
}

std::string environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

}  // namespace ckp::bench

#include "cli/mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <vector>

namespace ckp::test {

TemporaryMount::TemporaryMount(const std::filesystem::path& place, const std::string& size)
    : place_(place) {
  std::filesystem::create_directories(place);
  // A mount namespace of this process: nothing is left on the machine, whatever happens here.
  if (::unshare(CLONE_NEWNS) != 0) return;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return;
  ready_ = ::mount("none", place.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
}

TemporaryMount::~TemporaryMount() {
  if (ready_) ::umount2(place_.c_str(), MNT_DETACH);
}

bool TemporaryMount::make_read_only() {
  return ::mount("none", place_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
}

void TemporaryMount::fill() const {
  const int file = ::open((place_ / "filler").c_str(), O_WRONLY | O_CREAT, 0600);
  std::vector<char> block(1 << 20, 'x');
  // Down to single bytes, so that not one is left.
  while (!block.empty()) {
    if (::write(file, block.data(), block.size()) <= 0) block.resize(block.size() / 2);
  }
  ::close(file);
}

}  // namespace ckp::test

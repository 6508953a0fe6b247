#include "cli/mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

namespace ckp::test {

namespace {

// A mount namespace of this process: nothing is left on the machine, whatever happens here.
bool enter_own_namespace() {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

}  // namespace

TemporaryMount::TemporaryMount(const std::filesystem::path& place, const std::string& size)
    : place_(place) {
  std::filesystem::create_directories(place);
  if (!enter_own_namespace()) return;
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

FuseMount::FuseMount(const std::filesystem::path& real, const std::filesystem::path& place)
    : place_(place) {
  std::filesystem::create_directories(real);
  std::filesystem::create_directories(place);
  if (!enter_own_namespace()) {
    problem_ = "needs the right to mount (root outside a container)";
    return;
  }
  server_ = ::fork();
  if (server_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execlp("bindfs", "bindfs", "-f", real.c_str(), place.c_str(), nullptr);
    ::_exit(127);
  }
  while (!is_mounted()) {
    if (::waitpid(server_, nullptr, WNOHANG) != 0) {
      server_ = -1;
      problem_ = "needs bindfs and /dev/fuse (tools/install-deps.sh)";
      return;
    }
    ::usleep(1000);
  }
}

FuseMount::~FuseMount() {
  if (server_ < 0) return;
  ::umount2(place_.c_str(), MNT_DETACH);
  ::kill(server_, SIGTERM);
  ::waitpid(server_, nullptr, 0);
}

bool FuseMount::is_mounted() const {
  struct stat inside {
  }, outside{};
  return ::stat(place_.c_str(), &inside) == 0 &&
         ::stat(place_.parent_path().c_str(), &outside) == 0 && inside.st_dev != outside.st_dev;
}

}  // namespace ckp::test

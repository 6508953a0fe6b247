// Small file systems of a test's own, to be full or read-only.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace ckp::test {

// A tmpfs that nobody else sees and that is gone when this object or the process is. Needs the
// right to mount: `ready()` is false without it.
class TemporaryMount {
 public:
  TemporaryMount(const std::filesystem::path& place, const std::string& size);
  ~TemporaryMount();
  TemporaryMount(const TemporaryMount&) = delete;
  TemporaryMount& operator=(const TemporaryMount&) = delete;

  bool ready() const { return ready_; }
  bool make_read_only();
  // Writes a file that takes all the space there is.
  void fill() const;

 private:
  std::filesystem::path place_;
  bool ready_ = false;
};

// A directory seen once more through FUSE (bindfs), as a network file system in user space would
// show it. Nobody else sees the mount, and it is gone when this object or the process is. `problem`
// says why there is none.
class FuseMount {
 public:
  FuseMount(const std::filesystem::path& real, const std::filesystem::path& place);
  ~FuseMount();
  FuseMount(const FuseMount&) = delete;
  FuseMount& operator=(const FuseMount&) = delete;

  const std::string& problem() const { return problem_; }

 private:
  bool is_mounted() const;

  std::filesystem::path place_;
  pid_t server_ = -1;
  std::string problem_;
};

}  // namespace ckp::test

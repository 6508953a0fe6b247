// Small file systems of a test's own, to be full or read-only.
#pragma once

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

}  // namespace ckp::test

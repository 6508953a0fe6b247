// A file system that lets a test act between two operations of the code under test.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/forwarding_file_system.h"

namespace ckp::test {

// Passes everything on. `before` and `after` get "open x", "status x", "list x", "remove x" or
// "rename a -> b" with whole paths; operations on open files are not reported. For one thread.
class HookedFileSystem final : public ForwardingFileSystem {
 public:
  using Hook = std::function<void(const std::string& operation)>;
  Hook before, after;

 private:
  // The hook is copied first: it may replace itself.
  static void call(Hook hook, const std::string& operation) {
    if (hook) hook(operation);
  }
  template <class Operation>
  auto around(const std::string& name, Operation operation) {
    call(before, name);
    auto result = operation();
    call(after, name);
    return result;
  }

 public:
  std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
    return around("open " + path.string(), [&] { return base_->open(path, mode); });
  }
  std::optional<FileStatus> status(const std::filesystem::path& path) override {
    return around("status " + path.string(), [&] { return base_->status(path); });
  }
  std::vector<std::string> list(const std::filesystem::path& directory) override {
    return around("list " + directory.string(), [&] { return base_->list(directory); });
  }
  void rename(const std::filesystem::path& from, const std::filesystem::path& to,
              bool replace) override {
    around("rename " + from.string() + " -> " + to.string(), [&] {
      base_->rename(from, to, replace);
      return true;
    });
  }
  bool remove(const std::filesystem::path& path) override {
    return around("remove " + path.string(), [&] { return base_->remove(path); });
  }
};

}  // namespace ckp::test

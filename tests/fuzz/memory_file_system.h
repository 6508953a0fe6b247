// One file in memory, to be read and nothing else.
#pragma once

#include <algorithm>
#include <filesystem>
#include <memory>

#include "ckp/error.h"
#include "ckp/file_system.h"
#include "fuzz/target.h"

namespace ckp::fuzz {

class MemoryFile : public File {
 public:
  explicit MemoryFile(BytesView bytes) : bytes_(bytes) {}
  const std::filesystem::path& path() const override { return path_; }
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset >= bytes_.size()) return 0;
    const std::size_t size = std::min<std::uint64_t>(out.size(), bytes_.size() - offset);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), size, out.begin());
    return size;
  }
  FileStatus status() const override { return {.size = bytes_.size(), .links = 1}; }
  void write_at(std::uint64_t, std::span<const std::byte>) override { refuse(); }
  void sync() override { refuse(); }
  void truncate(std::uint64_t) override { refuse(); }
  void reserve(std::uint64_t, std::uint64_t) override { refuse(); }
  bool lock(std::uint64_t, LockKind, bool) override { refuse(); }
  void unlock(std::uint64_t) override { refuse(); }
  void close() override {}

 private:
  [[noreturn]] static void refuse() { throw Error(ErrorCode::read_only, "memory: read only"); }
  const std::filesystem::path path_ = "memory";
  const BytesView bytes_;
};

class MemoryFileSystem : public FileSystem {
 public:
  explicit MemoryFileSystem(BytesView bytes) : bytes_(bytes) {}
  std::unique_ptr<File> open(const std::filesystem::path&, OpenMode) override {
    return std::make_unique<MemoryFile>(bytes_);
  }
  std::optional<FileStatus> status(const std::filesystem::path&) override {
    return MemoryFile(bytes_).status();
  }
  std::vector<std::string> list(const std::filesystem::path&) override { refuse(); }
  bool make_directory(const std::filesystem::path&) override { refuse(); }
  void rename(const std::filesystem::path&, const std::filesystem::path&, bool) override {
    refuse();
  }
  bool remove(const std::filesystem::path&) override { refuse(); }
  void sync_directory(const std::filesystem::path&) override { refuse(); }
  FileSystemKind kind(const std::filesystem::path&) override { return {}; }

 private:
  [[noreturn]] static void refuse() { throw Error(ErrorCode::read_only, "memory: read only"); }
  const BytesView bytes_;
};

}  // namespace ckp::fuzz

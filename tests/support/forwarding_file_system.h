// File and FileSystem that pass everything on: what a test's own ones are derived from.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ckp/file_system.h"

namespace ckp::test {

class ForwardingFile : public File {
 public:
  explicit ForwardingFile(std::unique_ptr<File> base) : base_(std::move(base)) {}
  const std::filesystem::path& path() const override { return base_->path(); }
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    return base_->read_at(offset, out);
  }
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    base_->write_at(offset, bytes);
  }
  void start_sync() override { base_->start_sync(); }
  void sync() override { base_->sync(); }
  void truncate(std::uint64_t size) override { base_->truncate(size); }
  void reserve(std::uint64_t offset, std::uint64_t size) override { base_->reserve(offset, size); }
  FileStatus status() const override { return base_->status(); }
  bool lock(std::uint64_t byte, LockKind kind, bool wait) override {
    return base_->lock(byte, kind, wait);
  }
  void unlock(std::uint64_t byte) override { base_->unlock(byte); }
  void close() override { base_->close(); }

 protected:
  std::unique_ptr<File> base_;
};

class ForwardingFileSystem : public FileSystem {
 public:
  explicit ForwardingFileSystem(std::shared_ptr<FileSystem> base = posix_file_system())
      : base_(std::move(base)) {}
  std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
    return base_->open(path, mode);
  }
  std::optional<FileStatus> status(const std::filesystem::path& path) override {
    return base_->status(path);
  }
  std::vector<std::string> list(const std::filesystem::path& directory) override {
    return base_->list(directory);
  }
  bool make_directory(const std::filesystem::path& path) override {
    return base_->make_directory(path);
  }
  void rename(const std::filesystem::path& from, const std::filesystem::path& to,
              bool replace) override {
    base_->rename(from, to, replace);
  }
  bool remove(const std::filesystem::path& path) override { return base_->remove(path); }
  void sync_directory(const std::filesystem::path& path) override { base_->sync_directory(path); }
  FileSystemKind kind(const std::filesystem::path& path) override { return base_->kind(path); }

 protected:
  std::shared_ptr<FileSystem> base_;
};

}  // namespace ckp::test

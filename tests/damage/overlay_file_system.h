// A file system on which some files have other bytes than the disk, or are not there. What is
// written to such a file goes to its other bytes: the disk keeps what it has.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ckp/error.h"
#include "support/forwarding_file_system.h"

namespace ckp::test {

using FileBytes = std::vector<std::byte>;

// Without a file on disk until somebody wants to lock it.
class OverlayFile : public File {
 public:
  using OpenBase = std::function<std::unique_ptr<File>()>;
  OverlayFile(std::filesystem::path path, std::shared_ptr<FileBytes> bytes, FileStatus status,
              OpenBase open_base)
      : path_(std::move(path)),
        bytes_(std::move(bytes)),
        status_(status),
        open_base_(std::move(open_base)) {}
  const std::filesystem::path& path() const override { return path_; }
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset >= bytes_->size()) return 0;
    const std::size_t size = std::min<std::uint64_t>(out.size(), bytes_->size() - offset);
    std::copy_n(bytes_->begin() + static_cast<std::ptrdiff_t>(offset), size, out.begin());
    return size;
  }
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (bytes_->size() < offset + bytes.size()) bytes_->resize(offset + bytes.size());
    std::copy(bytes.begin(), bytes.end(), bytes_->begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void sync() override {}
  void truncate(std::uint64_t size) override { bytes_->resize(size); }
  void reserve(std::uint64_t, std::uint64_t) override {}
  FileStatus status() const override {
    FileStatus status = status_;
    status.size = bytes_->size();
    return status;
  }
  bool lock(std::uint64_t byte, LockKind kind, bool wait) override {
    return base().lock(byte, kind, wait);
  }
  void unlock(std::uint64_t byte) override { base().unlock(byte); }
  void close() override { base_.reset(); }

 private:
  File& base() {
    if (base_ == nullptr) base_ = open_base_();
    return *base_;
  }

  const std::filesystem::path path_;
  const std::shared_ptr<FileBytes> bytes_;
  const FileStatus status_;
  const OpenBase open_base_;
  std::unique_ptr<File> base_;
};

class OverlayFileSystem : public ForwardingFileSystem {
 public:
  // From now on a reader finds these bytes there; the file must exist.
  void replace(const std::filesystem::path& path, FileBytes bytes) {
    files_[path] = {std::make_shared<FileBytes>(std::move(bytes)), *base_->status(path)};
  }
  void hide(const std::filesystem::path& path) { files_[path] = {}; }
  void restore() {
    files_.clear();
    forget();
  }

  std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
    const auto found = files_.find(path);
    if (mode == OpenMode::create || mode == OpenMode::create_new) forget();
    if (found == files_.end()) return base_->open(path, mode);
    auto& [bytes, status] = found->second;
    if (bytes == nullptr) {
      if (mode == OpenMode::read || mode == OpenMode::read_write) {
        throw Error(ErrorCode::not_found, path.string() + ": No such file or directory");
      }
      bytes = std::make_shared<FileBytes>();
    }
    const OpenMode existing = mode == OpenMode::read ? mode : OpenMode::read_write;
    return std::make_unique<OverlayFile>(
        path, bytes, status, [base = base_, path, existing] { return base->open(path, existing); });
  }
  std::optional<FileStatus> status(const std::filesystem::path& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return disk_status(path);
    if (found->second.bytes == nullptr) return std::nullopt;
    FileStatus status = found->second.status;
    status.size = found->second.bytes->size();
    return status;
  }
  // Listings and directories are remembered until this file system changes something: the index,
  // which goes its own way, has only files.
  std::vector<std::string> list(const std::filesystem::path& directory) override {
    auto at = lists_.find(directory);
    if (at == lists_.end()) at = lists_.emplace(directory, base_->list(directory)).first;
    auto names = at->second;
    std::erase_if(names, [&](const std::string& name) {
      const auto found = files_.find(directory / name);
      return found != files_.end() && found->second.bytes == nullptr;
    });
    return names;
  }
  bool make_directory(const std::filesystem::path& path) override {
    forget();
    return base_->make_directory(path);
  }
  void rename(const std::filesystem::path& from, const std::filesystem::path& to,
              bool replace) override {
    forget();
    base_->rename(from, to, replace);
  }
  bool remove(const std::filesystem::path& path) override {
    forget();
    return base_->remove(path);
  }
  // After somebody else has changed something.
  void forget() {
    lists_.clear();
    directories_.clear();
  }

 private:
  std::optional<FileStatus> disk_status(const std::filesystem::path& path) {
    const auto known = directories_.find(path);
    if (known != directories_.end()) return known->second;
    const auto status = base_->status(path);
    if (status && status->is_directory) directories_.emplace(path, *status);
    return status;
  }

  struct Replaced {
    std::shared_ptr<FileBytes> bytes;  // nullptr: not there
    FileStatus status{};               // of the file on disk
  };
  std::map<std::filesystem::path, Replaced> files_;
  std::map<std::filesystem::path, std::vector<std::string>> lists_;
  std::map<std::filesystem::path, FileStatus> directories_;
};

}  // namespace ckp::test

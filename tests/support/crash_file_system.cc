#include "support/crash_file_system.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace ckp::test {
namespace {

constexpr std::uint64_t piece_size = 4096;

Bytes read_all(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

bool is_index(const std::filesystem::path& name) {
  return name == "index" || name.string().starts_with("index.");
}

// The number of the last write transaction, from the newer of LMDB's two headers.
std::uint64_t lmdb_transaction(const Bytes& bytes) {
  constexpr std::size_t page_size = 4096, offset_in_page = 144;
  std::uint64_t newest = 0;
  for (std::size_t at = offset_in_page; at < 2 * page_size; at += page_size) {
    std::uint64_t number = 0;
    if (at + sizeof number > bytes.size()) break;
    std::memcpy(&number, bytes.data() + at, sizeof number);
    newest = std::max(newest, number);
  }
  return newest;
}

}  // namespace

class CrashFileSystem::RecordedFile final : public ForwardingFile {
 public:
  RecordedFile(CrashFileSystem& fs, std::unique_ptr<File> base, NodeId node, std::string name)
      : ForwardingFile(std::move(base)), fs_(fs), node_(node), name_(std::move(name)) {}

  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    fs_.announce("write " + name_);
    for (std::uint64_t done = 0; done < bytes.size();) {
      const std::uint64_t size =
          std::min<std::uint64_t>(bytes.size() - done, piece_size - (offset + done) % piece_size);
      const auto piece = bytes.subspan(done, size);
      base_->write_at(offset + done, piece);
      fs_.record({.kind = DiskOperation::Kind::write,
                  .node = node_,
                  .offset = offset + done,
                  .bytes = std::make_shared<const Bytes>(piece.begin(), piece.end()),
                  .text = "write " + name_ + " " + std::to_string(offset + done) + " " +
                          std::to_string(size)});
      done += size;
    }
  }
  void sync() override {
    fs_.announce("sync " + name_);
    base_->sync();
    fs_.record({.kind = DiskOperation::Kind::sync, .node = node_, .text = "sync " + name_});
  }
  void truncate(std::uint64_t size) override {
    fs_.announce("truncate " + name_);
    base_->truncate(size);
    fs_.record({.kind = DiskOperation::Kind::truncate,
                .node = node_,
                .offset = size,
                .text = "truncate " + name_ + " " + std::to_string(size)});
  }

 private:
  CrashFileSystem& fs_;
  NodeId node_;
  std::string name_;
};

class CrashFileSystem::IndexFile final : public ForwardingFile {
 public:
  IndexFile(CrashFileSystem& fs, std::unique_ptr<File> base)
      : ForwardingFile(std::move(base)), fs_(fs) {}
  void sync() override {
    base_->sync();
    fs_.index_synced(base_->path());
  }

 private:
  CrashFileSystem& fs_;
};

CrashFileSystem::CrashFileSystem(std::filesystem::path root, Disk start,
                                 std::shared_ptr<FileSystem> base)
    : ForwardingFileSystem(std::move(base)), disk_(start) {
  recording_.start = std::move(start);
  recording_.root = std::move(root);
}

const Recording& CrashFileSystem::recording() {
  look_at_index();
  return recording_;
}

std::filesystem::path CrashFileSystem::recorded_path(const std::filesystem::path& path) const {
  const auto relative = path.lexically_normal().lexically_relative(recording_.root);
  if (relative.empty() || *relative.begin() == "..") return {};
  if (std::any_of(relative.begin(), relative.end(), is_index)) return {};
  return relative;
}

void CrashFileSystem::announce(const std::string& operation) {
  if (!before) return;
  const auto call = before;  // it may replace itself
  call(operation);
}

void CrashFileSystem::look_at_index() {
  // The one store that lies in the root, if there is one yet.
  for (const auto& entry : std::filesystem::directory_iterator(recording_.root)) {
    if (!entry.is_directory() || !std::filesystem::exists(entry.path() / "STORE")) continue;
    const auto path = entry.path() / "index" / "data.mdb";
    const auto status = posix_file_system()->status(path);
    const bool had = !recording_.indexes.empty() && recording_.indexes.back().bytes != nullptr;
    if (!status && !had) return;
    if (status && had) {
      const FileStatus& last = recording_.indexes.back().status;
      if (last.inode == status->inode && last.changed_ns == status->changed_ns &&
          last.size == status->size) {
        return;
      }
    }
    IndexSnapshot snapshot{position(), status.value_or(FileStatus{}), 0, nullptr};
    if (status) {
      snapshot.bytes = std::make_shared<const Bytes>(read_all(path));
      snapshot.transaction = lmdb_transaction(*snapshot.bytes);
    }
    recording_.indexes.push_back(std::move(snapshot));
  }
}

void CrashFileSystem::index_synced(const std::filesystem::path& path) {
  const auto status = posix_file_system()->status(path);
  if (!status) return;
  recording_.index_syncs.push_back({position(), status->inode, lmdb_transaction(read_all(path))});
}

void CrashFileSystem::record(DiskOperation operation) {
  look_at_index();
  disk_.apply(operation);
  recording_.log.push_back(std::move(operation));
}

void CrashFileSystem::record_entry(DiskOperation::Kind kind, const std::filesystem::path& path,
                                   NodeId node, const std::string& new_name) {
  constexpr const char* names[] = {"create", "make_directory", "rename", "remove"};
  DiskOperation operation;
  operation.kind = kind;
  operation.node = node;
  operation.directory = disk_.find(path.parent_path()).value();
  operation.name = path.filename().string();
  operation.new_name = new_name;
  operation.text = std::string(names[static_cast<std::size_t>(kind)]) + " " + path.string() +
                   (new_name.empty() ? "" : " -> " + new_name);
  record(std::move(operation));
}

std::unique_ptr<File> CrashFileSystem::open(const std::filesystem::path& path, OpenMode mode) {
  if (mode == OpenMode::read) return base_->open(path, mode);
  const auto relative = recorded_path(path);
  if (relative.empty() && path.filename() == "data.mdb") {
    return std::make_unique<IndexFile>(*this, base_->open(path, mode));
  }
  if (relative.empty()) return base_->open(path, mode);
  auto node = disk_.find(relative);
  if (!node) announce("create " + relative.string());
  auto file = base_->open(path, mode);
  if (!node) {
    node = disk_.next_node();
    record_entry(DiskOperation::Kind::create, relative, *node);
  }
  return std::make_unique<RecordedFile>(*this, std::move(file), *node, relative.string());
}

bool CrashFileSystem::make_directory(const std::filesystem::path& path) {
  const auto relative = recorded_path(path);
  if (!relative.empty()) announce("make_directory " + relative.string());
  const bool made = base_->make_directory(path);
  if (made && !relative.empty()) {
    record_entry(DiskOperation::Kind::make_directory, relative, disk_.next_node());
  }
  return made;
}

void CrashFileSystem::rename(const std::filesystem::path& from, const std::filesystem::path& to,
                             bool replace) {
  const auto relative = recorded_path(from);
  if (relative.empty()) return base_->rename(from, to, replace);
  if (from.parent_path() != to.parent_path()) {
    throw std::logic_error("rename across directories: two entries that become durable separately");
  }
  announce("rename " + relative.string() + " -> " + to.filename().string());
  base_->rename(from, to, replace);
  record_entry(DiskOperation::Kind::rename, relative, disk_.find(relative).value(),
               to.filename().string());
}

bool CrashFileSystem::remove(const std::filesystem::path& path) {
  const auto relative = recorded_path(path);
  if (!relative.empty()) announce("remove " + relative.string());
  const bool removed = base_->remove(path);
  if (removed && !relative.empty()) {
    record_entry(DiskOperation::Kind::remove, relative, disk_.find(relative).value());
  }
  return removed;
}

void CrashFileSystem::sync_directory(const std::filesystem::path& path) {
  const auto relative = recorded_path(path);
  if (relative.empty()) return base_->sync_directory(path);
  announce("sync_directory " + relative.string());
  base_->sync_directory(path);
  record({.kind = DiskOperation::Kind::sync,
          .node = disk_.find(relative).value(),
          .text = "sync_directory " + relative.string()});
}

}  // namespace ckp::test

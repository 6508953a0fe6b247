#include "support/faulty_file_system.h"

#include <mutex>
#include <optional>
#include <utility>

namespace ckp::test {

namespace stdfs = std::filesystem;

// Shared with the open files, which may outlive the file system.
class FaultyFileSystem::State {
 public:
  explicit State(stdfs::path root) : root_(std::move(root)) {}

  void plan(Fault fault) {
    const std::lock_guard lock(mutex_);
    fault_ = std::move(fault);
    operations_ = failures_ = 0;
    first_failure_.clear();
  }

  // Logs and counts an operation; the error when it must fail.
  std::optional<Error> count(const std::string& operation) {
    const std::lock_guard lock(mutex_);
    log_.push_back(operation);
    if (fault_.only && !fault_.only(operation)) return std::nullopt;
    ++operations_;
    const bool fails =
        fault_.at != 0 && (fault_.forever ? operations_ >= fault_.at : operations_ == fault_.at);
    if (!fails) return std::nullopt;
    if (++failures_ == 1) first_failure_ = operation;
    return Error(fault_.code, "injected fault " + std::to_string(operations_) + ": " + operation);
  }
  void check(const std::string& operation) {
    if (const std::optional<Error> error = count(operation)) throw *error;
  }

  std::string name(const stdfs::path& path) const {
    return root_.empty() ? path.string() : path.lexically_relative(root_).string();
  }
  bool torn_write() const {
    const std::lock_guard lock(mutex_);
    return fault_.torn_write;
  }
  template <class Get>
  auto locked(Get get) {
    const std::lock_guard lock(mutex_);
    return get(*this);
  }

  std::uint64_t operations_ = 0;
  std::uint64_t failures_ = 0;
  std::string first_failure_;
  std::vector<std::string> log_;

 private:
  const stdfs::path root_;
  mutable std::mutex mutex_;
  Fault fault_;
};

class FaultyFileSystem::FaultyFile final : public File {
 public:
  FaultyFile(std::unique_ptr<File> base, std::shared_ptr<State> state)
      : base_(std::move(base)), state_(std::move(state)), name_(state_->name(base_->path())) {}

  const stdfs::path& path() const override { return base_->path(); }

  std::size_t read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    state_->check(range("read", offset, out.size()));
    return base_->read_at(offset, out);
  }

  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    const std::optional<Error> error = state_->count(range("write", offset, bytes.size()));
    refuse_after_failure();
    if (!error) return base_->write_at(offset, bytes);
    if (state_->torn_write()) base_->write_at(offset, bytes.first(bytes.size() / 2));
    failed_write_ = offset;
    failure_ = error->what();
    throw *error;
  }

  void sync() override {
    const std::optional<Error> error = state_->count("sync " + name_);
    refuse_after_failure();
    if (!error) return base_->sync();
    failure_ = error->what();
    throw *error;
  }

  void truncate(std::uint64_t size) override {
    state_->check("truncate " + name_ + " " + std::to_string(size));
    if (!failed_write_) refuse_after_failure();
    base_->truncate(size);
    if (failed_write_ && size <= *failed_write_) {
      failed_write_.reset();
      failure_.clear();
    }
  }

  void reserve(std::uint64_t offset, std::uint64_t size) override {
    state_->check(range("reserve", offset, size));
    base_->reserve(offset, size);
  }

  FileStatus status() const override {
    state_->check("status " + name_);
    return base_->status();
  }

  bool lock(std::uint64_t byte, LockKind kind, bool wait) override {
    state_->check("lock " + name_ + " " + std::to_string(byte));
    return base_->lock(byte, kind, wait);
  }

  void unlock(std::uint64_t byte) override {
    state_->check("unlock " + name_ + " " + std::to_string(byte));
    base_->unlock(byte);
  }

  void close() override {
    const std::optional<Error> error = state_->count("close " + name_);
    base_->close();
    if (error) throw *error;
  }

 private:
  std::string range(const char* what, std::uint64_t offset, std::uint64_t size) const {
    return std::string(what) + " " + name_ + " " + std::to_string(offset) + " " +
           std::to_string(size);
  }
  void refuse_after_failure() const {
    if (!failure_.empty()) throw Error(ErrorCode::io, "an earlier operation failed: " + failure_);
  }

  std::unique_ptr<File> base_;
  std::shared_ptr<State> state_;
  std::string name_;
  std::string failure_;
  std::optional<std::uint64_t> failed_write_;
};

FaultyFileSystem::FaultyFileSystem(std::shared_ptr<FileSystem> base, stdfs::path root)
    : state_(std::make_shared<State>(std::move(root))), base_(std::move(base)) {}
FaultyFileSystem::~FaultyFileSystem() = default;

void FaultyFileSystem::plan(Fault fault) { state_->plan(std::move(fault)); }
std::uint64_t FaultyFileSystem::operations() const {
  return state_->locked([](const State& state) { return state.operations_; });
}
std::uint64_t FaultyFileSystem::failures() const {
  return state_->locked([](const State& state) { return state.failures_; });
}
std::string FaultyFileSystem::first_failure() const {
  return state_->locked([](const State& state) { return state.first_failure_; });
}
std::vector<std::string> FaultyFileSystem::log() const {
  return state_->locked([](const State& state) { return state.log_; });
}
void FaultyFileSystem::clear_log() {
  state_->locked([](State& state) { state.log_.clear(); });
}

std::unique_ptr<File> FaultyFileSystem::open(const stdfs::path& path, OpenMode mode) {
  const char* verb = mode == OpenMode::create       ? "create "
                     : mode == OpenMode::create_new ? "create_new "
                                                    : "open ";
  state_->check(verb + state_->name(path));
  return std::make_unique<FaultyFile>(base_->open(path, mode), state_);
}

std::optional<FileStatus> FaultyFileSystem::status(const stdfs::path& path) {
  state_->check("status " + state_->name(path));
  return base_->status(path);
}

std::vector<std::string> FaultyFileSystem::list(const stdfs::path& directory) {
  state_->check("list " + state_->name(directory));
  return base_->list(directory);
}

bool FaultyFileSystem::make_directory(const stdfs::path& path) {
  state_->check("make_directory " + state_->name(path));
  return base_->make_directory(path);
}

void FaultyFileSystem::rename(const stdfs::path& from, const stdfs::path& to, bool replace) {
  state_->check("rename " + state_->name(from) + " -> " + state_->name(to));
  base_->rename(from, to, replace);
}

bool FaultyFileSystem::remove(const stdfs::path& path) {
  state_->check("remove " + state_->name(path));
  return base_->remove(path);
}

void FaultyFileSystem::sync_directory(const stdfs::path& path) {
  state_->check("sync_directory " + state_->name(path));
  base_->sync_directory(path);
}

FileSystemKind FaultyFileSystem::kind(const stdfs::path& path) {
  state_->check("kind " + state_->name(path));
  return base_->kind(path);
}

}  // namespace ckp::test

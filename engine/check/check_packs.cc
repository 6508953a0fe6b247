// Checking many packs: a few files at a time, and the pieces of all of them on all threads.
#include <algorithm>

#include "check/pack_check.h"
#include "ckp/error.h"
#include "save/parallel.h"

namespace ckp {
namespace {

// What is opened together: enough for the threads to share, little enough to stay small.
constexpr std::size_t files_at_once = 32;
constexpr std::uint64_t bytes_at_once = 1u << 30;
constexpr std::uint64_t chunks_at_once = 1u << 16;
constexpr std::size_t pieces_per_thread_start = 8;  // fewer are not worth starting threads

class BatchedCheck {
 public:
  BatchedCheck(FileSystem& fs, const std::vector<std::filesystem::path>& files,
               const CheckScope& scope, unsigned threads, ProgressCounter& counter)
      : fs_(fs), files_(files), scope_(scope), threads_(threads), counter_(counter) {}

  // Checks a batch that begins with file `first`; how many files it had.
  std::size_t run(std::size_t first, const std::function<void(std::size_t, PackCheck&)>& take) {
    Batch batch(first);
    while (open_more(batch)) {
    }
    check_pieces(batch);
    for (std::size_t i = 0; i < batch.files.size(); ++i) {
      auto& [checker, check] = batch.files[i];
      if (checker) check = checker->finish();
      if (check) take(first + i, *check);
    }
    return batch.files.size();
  }

 private:
  struct OpenFile {
    std::unique_ptr<PackChecker> checker;  // nothing: it was not opened
    std::optional<PackCheck> check;
  };
  struct Batch {
    explicit Batch(std::size_t file) : first(file) {}
    std::size_t first;
    std::vector<OpenFile> files;
    std::uint64_t bytes = 0, chunks = 0;
  };

  // Opens one more file a thread, as long as the batch is small.
  bool open_more(Batch& batch) {
    const std::size_t begin = batch.files.size();
    const std::size_t count = std::min<std::size_t>(threads_, files_.size() - batch.first - begin);
    if (count == 0 || begin >= files_at_once || batch.bytes >= bytes_at_once ||
        batch.chunks >= chunks_at_once) {
      return false;
    }
    batch.files.resize(begin + count);
    parallel_for(count, threads_, [&](std::size_t i) {
      open_one(files_[batch.first + begin + i], batch.files[begin + i]);
    });
    for (std::size_t i = begin; i < begin + count; ++i) {
      if (!batch.files[i].checker) continue;
      batch.bytes += batch.files[i].checker->file_size();
      batch.chunks += batch.files[i].checker->chunk_count();
    }
    return true;
  }

  void open_one(const std::filesystem::path& path, OpenFile& file) {
    if (counter_.stopped()) return;
    try {
      file.checker = std::make_unique<PackChecker>(open(path), scope_, counter_);
      file.checker->open();
    } catch (const Error& error) {
      file.checker.reset();
      if (error.code() == ErrorCode::out_of_resources) throw;  // that says nothing about the file
      if (error.code() != ErrorCode::not_found) file.check.emplace().refused = error;
    }
  }

  std::shared_ptr<const FileSource> open(const std::filesystem::path& path) const {
    return std::make_shared<const FileSource>(
        std::shared_ptr<const File>(fs_.open(path, OpenMode::read)));
  }

  void check_pieces(const Batch& batch) {
    std::vector<std::pair<PackChecker*, std::size_t>> pieces;
    for (const OpenFile& file : batch.files) {
      for (std::size_t i = 0; file.checker && i < file.checker->pieces(); ++i) {
        pieces.emplace_back(file.checker.get(), i);
      }
    }
    const unsigned threads = pieces.size() < pieces_per_thread_start ? 1 : threads_;
    parallel_for(pieces.size(), threads, [&](std::size_t i) {
      if (!counter_.stopped()) pieces[i].first->check_piece(pieces[i].second);
    });
  }

  FileSystem& fs_;
  const std::vector<std::filesystem::path>& files_;
  const CheckScope& scope_;
  const unsigned threads_;
  ProgressCounter& counter_;
};

}  // namespace

void check_packs(FileSystem& fs, const std::vector<std::filesystem::path>& files,
                 const CheckScope& scope, unsigned threads, ProgressCounter& counter,
                 const std::function<void(std::size_t file, PackCheck& check)>& take) {
  BatchedCheck check(fs, files, scope, thread_count(threads), counter);
  counter.add(0);  // asked to stop before it began?
  for (std::size_t first = 0; first < files.size() && !counter.stopped();) {
    first += check.run(first, take);
  }
}

}  // namespace ckp

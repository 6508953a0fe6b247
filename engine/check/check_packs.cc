// Checking many packs: a few files at a time, and the pieces of all of them on all threads.
#include "check/pack_check.h"
#include "ckp/error.h"
#include "save/parallel.h"

namespace ckp {
namespace {

// What is opened together: enough for the threads to share, little enough to stay small.
constexpr std::size_t files_at_once = 32;
constexpr std::uint64_t bytes_at_once = 1u << 30;
constexpr std::size_t pieces_per_thread_start = 8;  // fewer are not worth starting threads

class BatchedCheck {
 public:
  BatchedCheck(FileSystem& fs, const std::vector<std::filesystem::path>& files,
               const CheckScope& scope, unsigned threads, ProgressCounter& counter)
      : fs_(fs), files_(files), scope_(scope), threads_(threads), counter_(counter) {}

  // The number of files in the batch that begins with file `first`.
  std::size_t size_from(std::size_t first) const {
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    while (first + count < files_.size() && count < files_at_once && bytes < bytes_at_once) {
      const auto status = fs_.status(files_[first + count]);
      bytes += status ? status->size : 0;
      ++count;
    }
    return count;
  }

  void run(std::size_t first, std::size_t count,
           const std::function<void(std::size_t, PackCheck&)>& take) {
    std::vector<std::unique_ptr<PackChecker>> checkers(count);
    std::vector<std::optional<PackCheck>> unopened(count);
    parallel_for(count, threads_, [&](std::size_t i) {
      if (counter_.stopped()) return;
      try {
        checkers[i] = std::make_unique<PackChecker>(open(files_[first + i]), scope_, counter_);
        checkers[i]->open();
      } catch (const Error& error) {
        checkers[i].reset();
        if (error.code() == ErrorCode::not_found) return;
        unopened[i].emplace().refused = error;
      }
    });
    check_pieces(checkers);
    for (std::size_t i = 0; i < count; ++i) {
      if (checkers[i]) unopened[i] = checkers[i]->finish();
      if (unopened[i]) take(first + i, *unopened[i]);
    }
  }

 private:
  std::shared_ptr<const FileSource> open(const std::filesystem::path& path) const {
    return std::make_shared<const FileSource>(
        std::shared_ptr<const File>(fs_.open(path, OpenMode::read)));
  }

  void check_pieces(const std::vector<std::unique_ptr<PackChecker>>& checkers) {
    std::vector<std::pair<PackChecker*, std::size_t>> pieces;
    for (const auto& checker : checkers) {
      for (std::size_t i = 0; checker && i < checker->pieces(); ++i) {
        pieces.emplace_back(checker.get(), i);
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
    const std::size_t count = check.size_from(first);
    check.run(first, count, take);
    first += count;
  }
}

}  // namespace ckp

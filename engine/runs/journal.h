// Writing and reading the journals of one run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/digest.h"
#include "ckp/file_system.h"
#include "ckp/format/journal_record.h"
#include "ckp/records.h"

namespace ckp {

// Appends to one journal, which it owns: the file is locked (owner_lock_byte) for the writer's
// whole life, and that lock is what says that the run is alive. One thread at a time.
class JournalWriter {
 public:
  // Creates the journal file of a new attempt, locks it and writes the header. Not durable yet.
  JournalWriter(FileSystem& fs, const std::filesystem::path& run_directory, const Uuid& run,
                std::uint32_t attempt);

  // One write call; on failure the file is cut back to its old length. Not durable until sync().
  void append(format::JournalKind kind, std::uint64_t commit, Value payload);
  void sync();
  const std::filesystem::path& path() const { return file_->path(); }
  // Length and digest of everything appended so far.
  JournalMark mark() const;

 private:
  std::unique_ptr<File> file_;
  format::JournalHeader header_;
  std::uint64_t length_ = 0;
  std::uint64_t sequence_ = 0;
  DigestStream digest_;
};

// What the journals of a run directory say.
struct RunJournals {
  // Nothing when no journal holds a readable run_created record.
  std::optional<RunRecord> run;
  struct File {
    std::string name;
    std::uint64_t size = 0;
    std::vector<format::JournalContents::Gap> gaps;
    std::string error;  // the whole file is unreadable
  };
  std::vector<File> files;
};
// `names`: the directory's listing. Attempts are merged from all journals by number; the status is
// the last one of the newest attempt.
RunJournals read_journals(FileSystem& fs, const std::filesystem::path& run_directory,
                          const std::vector<std::string>& names);

// Compares a journal's bytes with the mark of a manifest. Empty when they agree, else what differs.
std::string check_mark(FileSystem& fs, const std::filesystem::path& journal_file,
                       const JournalMark& mark);

// Whether a living process holds one of the run's journals.
bool run_is_held(FileSystem& fs, const std::filesystem::path& run_directory,
                 const std::vector<std::string>& names);

}  // namespace ckp

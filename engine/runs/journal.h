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
#include "store/layout.h"

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
  std::uint64_t length() const { return length_; }
  // Length and digest of everything appended so far.
  JournalMark mark() const;
  // Reads back what was appended since the last sync, through another handle: after a failed fsync
  // nothing else can be asked of this one. Nothing when not all of it is there any more.
  // `run_directory`: where the file is now.
  std::optional<std::vector<format::JournalRecord>> read_unsynced(
      FileSystem& fs, const std::filesystem::path& run_directory) const;

 private:
  std::unique_ptr<File> file_;
  format::JournalHeader header_;
  std::uint64_t length_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t synced_length_ = 0;
  std::uint64_t synced_sequence_ = 0;
  DigestStream digest_;
};

// No journal is larger: a writer that comes near it begins another one. Readers take a larger file
// for damage, since they read it as a whole.
constexpr std::uint64_t max_journal_size = std::uint64_t{1} << 30;
// Reads a journal's bytes. Error(corrupt), with the file's name, above max_journal_size.
std::vector<std::byte> read_journal_file(FileSystem& fs, const std::filesystem::path& file);

// A `repaired` record: of what stood below `marked`, the first `length` bytes are left, and they
// have `digest`. What is missing there is known to be lost.
struct JournalRepair {
  std::uint64_t length = 0;
  Digest digest;
  std::uint64_t marked = 0;
};

// What the journals of a run directory say.
struct RunJournals {
  // Nothing when no journal holds a readable run_created record.
  std::optional<RunRecord> run;
  struct Gap : format::JournalContents::Gap {
    // A sector of it reads as zeros: what a power cut leaves of records that were not synced yet,
    // also when later ones reached the disk.
    bool never_written = false;
  };
  struct File {
    std::string name;
    std::uint64_t size = 0;
    std::vector<Gap> gaps;
    std::vector<JournalRepair> repairs;
    std::string error;           // the whole file is unreadable
    bool newer = false;          // because a newer version wrote it
    bool never_written = false;  // because its first sector reads as zeros, as in Gap
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

// Error(corrupt) unless a journal's header is the one that its name and place promise.
void check_belongs(const format::JournalHeader& header, const JournalName& name, const Uuid& run);

// Whether a living process holds one of the run's journals.
bool run_is_held(FileSystem& fs, const std::filesystem::path& run_directory,
                 const std::vector<std::string>& names);

}  // namespace ckp

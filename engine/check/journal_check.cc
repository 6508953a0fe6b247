#include "check/journal_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "runs/journal.h"

namespace ckp {
namespace {

struct Marked {
  JournalMark mark;
  std::uint32_t attempt = 0;
};

std::map<Uuid, Marked> highest_marks(const RunFacts& run) {
  std::map<Uuid, Marked> marks;
  for (const CheckpointRecord& checkpoint : run.checkpoints) {
    if (!checkpoint.journal) continue;
    Marked& highest = marks[checkpoint.journal->journal];
    if (checkpoint.journal->length < highest.mark.length) continue;
    highest = {*checkpoint.journal, checkpoint.attempt};
  }
  return marks;
}

class JournalChecker {
 public:
  JournalChecker(FileSystem& fs, const RunFacts& run)
      : fs_(fs), run_(run), marks_(highest_marks(run)) {}

  JournalCheck run() {
    const auto& directory = run_.directory;
    for (const auto& file : read_journals(fs_, directory.path, directory.names).files) {
      const auto name = parse_journal_name(file.name);
      if (!name) continue;
      const auto found = marks_.find(name->journal);
      const Marked marked = found == marks_.end() ? Marked{} : found->second;
      if (found != marks_.end()) marks_.erase(found);
      check_file(file, *name, marked.mark);
    }
    for (const auto& [journal, marked] : marks_) {
      const JournalName name{marked.attempt, journal};
      add_problem(name, marked.mark,
                  fmt::format("the journal is missing; {} bytes of it were written when a "
                              "checkpoint was saved",
                              marked.mark.length));
    }
    return std::move(check_);
  }

 private:
  std::string path_of(const JournalName& name) const {
    return (run_.directory.path / to_file_name(name)).string();
  }

  // Removed since the run was listed, with the run: its checkpoints go first.
  bool was_removed(const JournalName& name) const {
    if (fs_.status(path_of(name))) return false;
    return std::none_of(run_.checkpoints.begin(), run_.checkpoints.end(),
                        [&](const CheckpointRecord& one) {
                          return one.journal && one.journal->journal == name.journal &&
                                 fs_.status(run_.directory.path / live_name(one));
                        });
  }

  void add_problem(const JournalName& name, const JournalMark& mark, std::string message) {
    if (was_removed(name)) return;
    const std::string path = path_of(name);
    if (!message.starts_with(path)) message = fmt::format("{}: {}", path, message);
    check_.problems.push_back({path, name, mark, std::move(message), false});
  }

  void check_file(const RunJournals::File& file, const JournalName& name, const JournalMark& mark) {
    const std::string path = path_of(name);
    if (file.newer) {
      check_.newer.push_back(fmt::format("{}: {}", path, file.error));
      return;
    }
    if (!file.error.empty() && is_link_to_nowhere(fs_, path)) {
      check_.problems.push_back({path, name, mark, describe_link_to_nowhere(path), true});
      return;
    }
    if (!file.error.empty() && was_removed(name)) return;
    const bool has_header = file.size >= format::JournalHeader::size && !file.never_written;
    if (!file.error.empty() && mark.length == 0 && !has_header) {
      check_.notes.push_back(
          fmt::format("{}: left by an attempt that died before its first record", path));
      return;
    }
    if (!file.error.empty()) return add_problem(name, mark, file.error);
    const std::uint64_t excused = excused_below(file, name);
    if (excused > 0) {
      check_.notes.push_back(
          fmt::format("{}: was repaired; records below byte {} are lost", path, excused));
    }
    if (mark.length > excused) {
      if (auto difference = check_mark(fs_, path, mark); !difference.empty()) {
        return add_problem(name, mark, std::move(difference));
      }
    }
    check_gaps(file, name, mark, std::max(mark.length, excused));
  }

  // What a repair has said about the bytes below this holds as long as they are what it saw.
  std::uint64_t excused_below(const RunJournals::File& file, const JournalName& name) const {
    std::uint64_t excused = 0;
    for (const JournalRepair& repair : file.repairs) {
      const JournalMark seen{name.journal, repair.length, repair.digest};
      if (!check_mark(fs_, path_of(name), seen).empty()) continue;
      excused = std::max({excused, repair.length, repair.marked});
    }
    return excused;
  }

  void check_gaps(const RunJournals::File& file, const JournalName& name, const JournalMark& mark,
                  std::uint64_t told) {
    for (const auto& gap : file.gaps) {
      if (gap.offset < told) continue;
      const std::string where = fmt::format("bytes {} to {}: {}", gap.offset, gap.end, gap.reason);
      if (gap.end == file.size) {
        check_.notes.push_back(fmt::format("{}: torn tail, {}", path_of(name), where));
      } else if (gap.never_written) {
        // What a power cut leaves when later records reached the disk and these did not.
        check_.notes.push_back(
            fmt::format("{}: lost before it was durable, {}", path_of(name), where));
      } else {
        add_problem(name, mark, where);
      }
    }
  }

  FileSystem& fs_;
  const RunFacts& run_;
  std::map<Uuid, Marked> marks_;
  JournalCheck check_;
};

}  // namespace

JournalCheck check_journals(FileSystem& fs, const RunFacts& run) {
  return JournalChecker(fs, run).run();
}

}  // namespace ckp

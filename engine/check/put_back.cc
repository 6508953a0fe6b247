#include "check/put_back.h"

#include <fmt/format.h>

#include <optional>
#include <set>
#include <string_view>

#include "ckp/error.h"

namespace ckp {
namespace {

// A file in another run's directory, or under another journal's name.
struct Stranger {
  std::filesystem::path path;
  std::filesystem::path name;  // its right one
  Uuid run;
  std::string run_name;  // empty: a journal, which was not read
  bool journal = false;
};

struct Inhabitants {
  bool own = false;  // some file is this run's
  bool held = false;
  std::vector<Stranger> strangers;
};

// Where a run's files are, and where they will be when the directories have their names.
struct Home {
  std::filesystem::path now, then;
};

struct Move {
  Stranger file;
  std::filesystem::path to_now, to;  // the place, before and after directories are renamed
};

std::optional<Stranger> ask_pack(FileSystem& fs, const ScannedPack& file) {
  try {
    const OpenPack pack = open_pack(fs, file.path);
    if (pack.directory.header.uuid != file.name.uuid || pack.directory.manifests.empty()) {
      return std::nullopt;
    }
    const auto record =
        describe(pack, format::read_manifest(*pack.source, pack.directory), file.name.commit);
    return Stranger{file.path, file.path.filename(), record.run, record.run_name};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_resources) throw;
    return std::nullopt;  // damaged, newer, or gone: it says nothing
  }
}

// "<its name>.put-back.<the name it had>": a journal on its way, which a killed repair has left.
// Only such names say which attempt a journal was.
constexpr std::string_view between_mark = ".put-back.";

std::string right_half(const std::string& file) { return file.substr(0, file.find(between_mark)); }

using JournalNames = std::map<Uuid, std::filesystem::path>;  // of all runs

std::optional<Stranger> ask_journal(FileSystem& fs, const std::filesystem::path& path,
                                    const JournalNames& names) {
  try {
    std::vector<std::byte> bytes(format::JournalHeader::size);
    bytes.resize(fs.open(path, OpenMode::read)->read_at(0, bytes));
    const auto header = format::decode_journal_header(bytes);
    const auto name = names.find(header.journal);
    if (name == names.end()) return std::nullopt;  // of which attempt it was nobody knows
    return Stranger{path, name->second, header.run, {}, true};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_resources) throw;
    return std::nullopt;
  }
}

class PutBackFinder {
 public:
  PutBackFinder(FileSystem& fs, const StoreLayout& layout, const Snapshot& snapshot)
      : fs_(fs), layout_(layout), snapshot_(snapshot), inhabitants_(snapshot.runs.size()) {}

  PutBacks find() {
    for (const RunFacts& run : snapshot_.runs) note_journals(run.directory);
    for (std::size_t i = 0; i < snapshot_.runs.size(); ++i) {
      const RunDirectory& directory = snapshot_.runs[i].directory;
      homes_.try_emplace(directory.run, Home{directory.path, directory.path});
      ask_journals(directory, inhabitants_[i]);
    }
    for (const auto& [uuid, pack] : snapshot_.packs) ask(pack);
    // One may take the name that another has given up.
    while (rename_a_directory()) {
    }
    for (const Inhabitants& here : inhabitants_) {
      for (const Stranger& stranger : here.strangers) send_home(stranger, here.held);
    }
    while (!waiting_.empty()) {
      if (!move_one()) break_circle();
    }
    return std::move(found_);
  }

 private:
  void add(Inhabitants& here, const RunDirectory& directory, std::optional<Stranger> file) {
    if (!file) return;
    if (file->run == directory.run && file->name == file->path.filename()) {
      here.own = true;
    } else {
      here.strangers.push_back(*std::move(file));
    }
  }

  void note_journals(const RunDirectory& directory) {
    for (const std::string& file : directory.names) {
      note_journal(right_half(file));
      const auto mark = file.find(between_mark);
      if (mark != std::string::npos) note_journal(file.substr(mark + between_mark.size()));
    }
  }

  void note_journal(const std::string& file) {
    if (const auto name = parse_journal_name(file)) journals_[name->journal] = file;
  }

  void ask_journals(const RunDirectory& directory, Inhabitants& here) {
    for (const std::string& file : directory.names) {
      if (!parse_journal_name(right_half(file))) continue;
      add(here, directory, ask_journal(fs_, directory.path / file, journals_));
    }
    here.held = !here.strangers.empty() && run_is_held(fs_, directory.path, directory.names);
  }

  void ask(const PackFacts& pack) {
    Inhabitants& here = inhabitants_[pack.run];
    if (pack.readable) {
      here.own = here.own || !pack.record.id.is_nil();
    } else {
      add(here, snapshot_.runs[pack.run].directory, ask_pack(fs_, pack.file));
    }
  }

  // The run of which everything in a directory is.
  static const Stranger* only_owner(const Inhabitants& here) {
    if (here.own || here.held || here.strangers.empty()) return nullptr;
    const Stranger* named = &here.strangers.front();
    for (const Stranger& stranger : here.strangers) {
      if (stranger.run != named->run) return nullptr;
      if (!stranger.run_name.empty()) named = &stranger;
    }
    return named;
  }

  // It has a directory, which is not to be seen now.
  bool is_unreachable(const Uuid& run) const {
    const auto& names = snapshot_.unreachable_runs;
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return parse_run_directory(name) == run; });
  }

  bool rename_a_directory() {
    for (std::size_t i = 0; i < inhabitants_.size(); ++i) {
      const Stranger* owner = only_owner(inhabitants_[i]);
      if (owner == nullptr || homes_.contains(owner->run) || is_unreachable(owner->run)) continue;
      const RunDirectory& directory = snapshot_.runs[i].directory;
      const auto to = layout_.run(right_name(directory, *owner));
      found_.moves.push_back(
          {directory.path, to, owner->run_name,
           fmt::format("{}: everything in this directory is of run {}, whose directory is {}",
                       directory.path.string(), owner->run.hex(), to.string())});
      const auto known = homes_.find(directory.run);
      if (known != homes_.end() && known->second.now == directory.path) homes_.erase(known);
      homes_[owner->run] = {directory.path, to};
      inhabitants_[i].strangers.clear();
      return true;
    }
    return false;
  }

  // Without a pack nothing but the directory tells how the run's name begins.
  static std::string right_name(const RunDirectory& directory, const Stranger& owner) {
    if (!owner.run_name.empty()) return run_directory_name(owner.run_name, owner.run);
    return directory.name.substr(0, directory.name.size() - directory.run.hex().size()) +
           owner.run.hex();
  }

  static std::string whose(const Stranger& stranger) {
    return fmt::format("{}: a {} of run {} was put here", stranger.path.string(),
                       stranger.journal ? "journal" : "pack", stranger.run.hex());
  }

  void stay(const Stranger& stranger, const std::string& why) {
    found_.stuck[stranger.path] = whose(stranger) + "; " + why;
  }

  void send_home(const Stranger& stranger, bool held) {
    const auto home = homes_.find(stranger.run);
    if (home == homes_.end()) {
      return stay(stranger, "that run has no directory to which it could go");
    }
    if (held && stranger.journal) {
      return stay(stranger,
                  "a process is training a run in this directory: repair again when it has ended");
    }
    waiting_[stranger.path] = {stranger, home->second.now / stranger.name,
                               home->second.then / stranger.name};
  }

  bool is_free(const Move& move) const {
    if (taken_.contains(move.to)) return false;
    return left_.contains(move.to_now) || !fs_.status(move.to_now);
  }

  bool move_one() {
    for (const auto& [from, move] : waiting_) {
      if (!is_free(move)) continue;
      add_move(from, move.to, move.file);
      taken_.insert(move.to);
      waiting_.erase(from);
      return true;
    }
    return false;
  }

  void add_move(const std::filesystem::path& from, const std::filesystem::path& to,
                const Stranger& file) {
    left_.insert(from);
    const std::string way =
        from == file.path ? whose(file) : fmt::format("{}: on its way back", from.string());
    found_.moves.push_back(
        {from, to, file.run_name, fmt::format("{}; it goes to {}", way, to.string())});
  }

  // Every place is taken: by one that waits as well, and so on in a circle, or by one that stays.
  void break_circle() {
    auto at = waiting_.begin();
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
      const auto next = waiting_.find(at->second.to_now);
      if (next == waiting_.end()) {
        stay(at->second.file, "there is a file of this name in that run's directory");
        waiting_.erase(at);
        return;
      }
      at = next;
    }
    const Move move = at->second;
    const auto between = std::filesystem::path(
        fmt::format("{}{}{}", move.to.string(), between_mark, at->first.filename().string()));
    add_move(at->first, between, move.file);
    waiting_.erase(at);
    waiting_[between] = move;
  }

  FileSystem& fs_;
  const StoreLayout& layout_;
  const Snapshot& snapshot_;
  std::vector<Inhabitants> inhabitants_;  // of snapshot_.runs
  JournalNames journals_;
  std::map<Uuid, Home> homes_;
  std::map<std::filesystem::path, Move> waiting_;  // by where they are
  std::set<std::filesystem::path> left_, taken_;   // places, by the moves found so far
  PutBacks found_;
};

}  // namespace

PutBacks find_put_backs(FileSystem& fs, const StoreLayout& layout, const Snapshot& snapshot) {
  return PutBackFinder(fs, layout, snapshot).find();
}

void put_back(FileSystem& fs, const PutBack& move) {
  fs.rename(move.from, move.to, false);
  fs.sync_directory(move.to.parent_path());
  if (move.from.parent_path() != move.to.parent_path()) {
    fs.sync_directory(move.from.parent_path());
  }
}

}  // namespace ckp

#include "check/put_back.h"

#include <fmt/format.h>

#include <optional>
#include <set>

#include "ckp/error.h"

namespace ckp {
namespace {

// A file in another run's directory.
struct Stranger {
  std::filesystem::path path;
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

std::optional<Stranger> ask_pack(FileSystem& fs, const ScannedPack& file) {
  try {
    const OpenPack pack = open_pack(fs, file.path);
    if (pack.directory.header.uuid != file.name.uuid || pack.directory.manifests.empty()) {
      return std::nullopt;
    }
    const auto record =
        describe(pack, format::read_manifest(*pack.source, pack.directory), file.name.commit);
    return Stranger{file.path, record.run, record.run_name};
  } catch (const Error&) {
    return std::nullopt;  // damaged, newer, or gone: it says nothing
  }
}

std::optional<Stranger> ask_journal(FileSystem& fs, const std::filesystem::path& path,
                                    const JournalName& name) {
  try {
    std::vector<std::byte> bytes(format::JournalHeader::size);
    bytes.resize(fs.open(path, OpenMode::read)->read_at(0, bytes));
    const auto header = format::decode_journal_header(bytes);
    if (header.journal != name.journal) return std::nullopt;
    return Stranger{path, header.run, {}, true};
  } catch (const Error&) {
    return std::nullopt;
  }
}

class PutBackFinder {
 public:
  PutBackFinder(FileSystem& fs, const StoreLayout& layout, const Snapshot& snapshot)
      : fs_(fs), layout_(layout), snapshot_(snapshot), inhabitants_(snapshot.runs.size()) {}

  PutBacks find() {
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
    return std::move(found_);
  }

 private:
  void add(Inhabitants& here, const RunDirectory& directory, std::optional<Stranger> file) {
    if (!file) return;
    if (file->run == directory.run) {
      here.own = true;
    } else {
      here.strangers.push_back(*std::move(file));
    }
  }

  void ask_journals(const RunDirectory& directory, Inhabitants& here) {
    for (const std::string& file : directory.names) {
      const auto name = parse_journal_name(file);
      if (name) add(here, directory, ask_journal(fs_, directory.path / file, *name));
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

  bool rename_a_directory() {
    for (std::size_t i = 0; i < inhabitants_.size(); ++i) {
      const Stranger* owner = only_owner(inhabitants_[i]);
      if (owner == nullptr || homes_.contains(owner->run)) continue;
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

  void send_home(const Stranger& stranger, bool held) {
    const auto file = stranger.path.filename();
    const auto home = homes_.find(stranger.run);
    const std::string whose =
        fmt::format("{}: a {} of run {} was put here", stranger.path.string(),
                    stranger.journal ? "journal" : "pack", stranger.run.hex());
    const auto stay = [&](const std::string& why) {
      found_.stuck[stranger.path] = whose + "; " + why;
    };
    if (home == homes_.end()) return stay("that run has no directory to which it could go");
    if (held && stranger.journal) {
      return stay("a process is training a run in this directory: repair again when it has ended");
    }
    const auto to = home->second.then / file;
    if (fs_.status(home->second.now / file) || !taken_.insert(to).second) {
      return stay("there is a file of this name in that run's directory");
    }
    found_.moves.push_back({stranger.path, to, stranger.run_name,
                            fmt::format("{}; its place is {}", whose, to.string())});
  }

  FileSystem& fs_;
  const StoreLayout& layout_;
  const Snapshot& snapshot_;
  std::vector<Inhabitants> inhabitants_;  // of snapshot_.runs
  std::map<Uuid, Home> homes_;
  std::set<std::filesystem::path> taken_;
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

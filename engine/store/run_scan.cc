#include "store/run_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ckp/error.h"
#include "ckp/shell_word.h"

namespace ckp {
namespace {

bool is_directory(FileSystem& fs, const std::filesystem::path& path) {
  const auto status = fs.status(path);
  return status && status->is_directory;
}

// A run whose journals are lost still has its name and id in every manifest.
std::optional<RunRecord> run_from_checkpoints(FileSystem& fs, const RunDirectory& directory) {
  const auto checkpoints = read_checkpoints(fs, directory);
  if (checkpoints.empty()) return std::nullopt;
  RunRecord run;
  run.id = directory.run;
  run.directory = directory.name;
  run.name = checkpoints.front().run_name;
  run.created_ns = checkpoints.front().created_ns;
  run.status = RunStatus::interrupted;
  for (const CheckpointRecord& checkpoint : checkpoints) {
    const auto same = [&](const Attempt& a) { return a.number == checkpoint.attempt; };
    if (std::any_of(run.attempts.begin(), run.attempts.end(), same)) continue;
    Attempt attempt;
    attempt.number = checkpoint.attempt;
    attempt.continued_from = checkpoint.continued_from;
    attempt.started_ns = checkpoint.created_ns;
    run.attempts.push_back(attempt);
  }
  std::sort(run.attempts.begin(), run.attempts.end(),
            [](const Attempt& a, const Attempt& b) { return a.number < b.number; });
  return run;
}

const ScannedPack* find_in(const RunDirectory& directory, const Uuid& uuid) {
  const ScannedPack* found = nullptr;
  for (const ScannedPack& pack : directory.packs) {
    if (pack.name.uuid != uuid) continue;
    if (pack.name.state == PackState::live) return &pack;
    if (pack.name.state == PackState::retired) found = &pack;
  }
  return found;
}

bool has_slug_of(const std::string& directory, std::string_view name) {
  const std::string expected = run_directory_name(name, Uuid{});
  constexpr std::size_t id_digits = 32;
  return directory.size() == expected.size() &&
         directory.compare(0, directory.size() - id_digits, expected, 0,
                           expected.size() - id_digits) == 0;
}

// STORE/runs/RUN/PACK.
std::filesystem::path store_of(const std::filesystem::path& pack) {
  return pack.parent_path().parent_path().parent_path();
}

}  // namespace

bool is_link_to_nowhere(FileSystem& fs, const std::filesystem::path& path) {
  if (fs.status(path)) return false;
  try {
    const auto names = fs.list(path.parent_path());
    const bool listed = std::ranges::binary_search(names, path.filename().string());
    return listed && !fs.status(path);  // it may have been made in between
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    return false;
  }
}

std::string describe_link_to_nowhere(const std::filesystem::path& path) {
  return fmt::format(
      "{}: leads nowhere: a symbolic link whose target is gone; the disk that it is on may be "
      "away: "
      "mount it, or remove the link to give up what it led to",
      path.string());
}

std::vector<std::string> list_runs(FileSystem& fs, const StoreLayout& layout) {
  try {
    return fs.list(layout.runs());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: the directory is missing, and every run with it; put it back, or "
                            "run: ckptool repair {}",
                            layout.runs().string(), shell_word(layout.root.string())));
  }
}

std::vector<std::string> list_run_directories(FileSystem& fs, const StoreLayout& layout) {
  std::vector<std::string> directories;
  for (std::string& name : list_runs(fs, layout)) {
    if (parse_run_directory(name) && is_directory(fs, layout.run(name))) {
      directories.push_back(std::move(name));
    }
  }
  return directories;
}

std::vector<std::string> list_unreachable_runs(FileSystem& fs, const StoreLayout& layout) {
  const auto without_target = [&] {
    std::vector<std::string> names;
    for (std::string& name : list_runs(fs, layout)) {
      if (parse_run_directory(name) && !fs.status(layout.run(name))) {
        names.push_back(std::move(name));
      }
    }
    return names;
  };
  const std::vector<std::string> names = without_target();
  if (names.empty()) return names;
  return without_target();  // one that was removed since the listing is not listed again
}

std::optional<std::string> find_unreachable_run(FileSystem& fs, const StoreLayout& layout,
                                                std::string_view name_or_id) {
  for (std::string& directory : list_unreachable_runs(fs, layout)) {
    const std::string id = parse_run_directory(directory)->hex();
    const bool has_id = name_or_id.size() >= 4 && id.starts_with(name_or_id);
    if (has_id || has_slug_of(directory, name_or_id)) return std::move(directory);
  }
  return std::nullopt;
}

Error leads_nowhere(const StoreLayout& layout, const std::string& directory) {
  return {ErrorCode::io,
          fmt::format("{}: this run's directory leads nowhere: a symbolic link whose target is "
                      "gone; mount the disk that it is on, or remove the link to give up the run",
                      layout.run(directory).string())};
}

RunDirectory list_run(FileSystem& fs, const StoreLayout& layout, const std::string& directory) {
  RunDirectory run;
  run.name = directory;
  run.path = layout.run(directory);
  run.run = parse_run_directory(directory).value_or(Uuid{});
  try {
    run.names = fs.list(run.path);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;  // removed meanwhile: an empty listing
  }
  for (const std::string& name : run.names) {
    if (const auto pack = parse_pack_name(name)) run.packs.push_back({*pack, run.path / name});
  }
  std::stable_sort(
      run.packs.begin(), run.packs.end(),
      [](const ScannedPack& a, const ScannedPack& b) { return a.name.commit < b.name.commit; });
  return run;
}

ScannedCheckpoint read_checkpoint(FileSystem& fs, const ScannedPack& pack) {
  ScannedCheckpoint result;
  result.pack = open_pack(fs, pack.path);
  if (result.pack.directory.header.uuid != pack.name.uuid) {
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: the file holds pack {}; a file of another name was put here",
                            pack.path.string(), result.pack.directory.header.uuid.hex()));
  }
  result.manifest = format::read_manifest(*result.pack.source, result.pack.directory);
  result.record = describe(result.pack, result.manifest, pack.name.commit);
  const auto run = parse_run_directory(pack.path.parent_path().filename().string());
  if (run && *run != result.record.run) {
    throw Error(
        ErrorCode::corrupt,
        fmt::format("{}: a checkpoint of run {} ({}) lies in the directory of another; "
                    "ckptool repair {} puts it back",
                    pack.path.string(), result.record.run_name, result.record.run.short_hex(),
                    shell_word(store_of(pack.path).string())));
  }
  return result;
}

Error repeated_pack(const ScannedPack& pack) {
  return {ErrorCode::corrupt,
          fmt::format("{}: another file of the run is the same pack under a smaller commit number; "
                      "this one was copied here, move it away",
                      pack.path.string())};
}

std::optional<RunRecord> read_run(FileSystem& fs, const RunDirectory& directory) {
  RunJournals journals = read_journals(fs, directory.path, directory.names);
  if (!journals.run) return run_from_checkpoints(fs, directory);
  return journals.run;
}

std::vector<CheckpointRecord> read_checkpoints(FileSystem& fs, const RunDirectory& directory,
                                               std::vector<Error>* unreadable) {
  std::vector<CheckpointRecord> checkpoints;
  std::set<Uuid> read;
  for (const ScannedPack& pack : directory.packs) {
    if (pack.name.state != PackState::live) continue;
    if (read.contains(pack.name.uuid)) {
      if (unreadable != nullptr) unreadable->push_back(repeated_pack(pack));
      continue;
    }
    try {
      checkpoints.push_back(read_checkpoint(fs, pack).record);
      read.insert(pack.name.uuid);
    } catch (const Error& error) {
      // Gone between the listing and the opening: pruned, not damaged.
      if (error.code() == ErrorCode::not_found) continue;
      if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::newer_format) throw;
      if (unreadable != nullptr) unreadable->push_back(error);
    }
  }
  return checkpoints;
}

std::optional<RunDirectory> find_run_named(FileSystem& fs, const StoreLayout& layout,
                                           std::string_view name) {
  for (const std::string& directory : list_run_directories(fs, layout)) {
    if (!has_slug_of(directory, name)) continue;
    RunDirectory run = list_run(fs, layout, directory);
    const auto record = read_run(fs, run);
    if (record && record->name == name) return run;
  }
  return std::nullopt;
}

std::optional<RunDirectory> find_run(FileSystem& fs, const StoreLayout& layout,
                                     std::string_view name_or_id) {
  if (auto named = find_run_named(fs, layout, name_or_id)) return named;
  if (const auto unreachable = find_unreachable_run(fs, layout, name_or_id)) {
    throw leads_nowhere(layout, *unreachable);
  }
  if (name_or_id.size() < 4) return std::nullopt;
  std::optional<RunDirectory> found;
  for (const std::string& directory : list_run_directories(fs, layout)) {
    if (parse_run_directory(directory)->hex().compare(0, name_or_id.size(), name_or_id) != 0) {
      continue;
    }
    if (found) {
      throw Error(
          ErrorCode::invalid_argument,
          fmt::format("'{}' is the beginning of several run ids; give more digits", name_or_id));
    }
    found = list_run(fs, layout, directory);
  }
  return found;
}

std::optional<ScannedPack> find_pack(FileSystem& fs, const StoreLayout& layout,
                                     const RunDirectory& first, const Uuid& uuid) {
  if (const ScannedPack* pack = find_in(first, uuid)) return *pack;
  for (const std::string& directory : list_run_directories(fs, layout)) {
    if (directory == first.name) continue;
    const RunDirectory other = list_run(fs, layout, directory);
    if (const ScannedPack* pack = find_in(other, uuid)) return *pack;
  }
  return std::nullopt;
}

std::optional<ScannedPack> find_pack(FileSystem& fs, const StoreLayout& layout,
                                     const std::string& first, const Uuid& uuid) {
  return find_pack(fs, layout, list_run(fs, layout, first), uuid);
}

PackSet open_referred_packs(FileSystem& fs, const StoreLayout& layout, const std::string& directory,
                            const format::Manifest& manifest, const PackSet& known) {
  std::set<Uuid> needed;
  for (const auto& reference : manifest.references) needed.insert(reference.address.pack);
  needed.erase(Uuid{});
  PackSet packs;
  std::optional<RunDirectory> own;
  for (const Uuid& uuid : needed) {
    if (const auto open = known.find(uuid); open != known.end()) {
      packs.insert(*open);
      continue;
    }
    constexpr int attempts = 3;  // a pack may be retired between the listing and the opening
    for (int attempt = 1;; ++attempt) {
      if (!own || attempt > 1) own = list_run(fs, layout, directory);
      const auto pack = find_pack(fs, layout, *own, uuid);
      if (!pack) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: a checkpoint of this run refers to pack {}, which is missing",
                                layout.run(directory).string(), uuid.hex()));
      }
      try {
        packs.emplace(uuid, open_pack(fs, pack->path));
        break;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found || attempt == attempts) throw;
      }
    }
  }
  return packs;
}

}  // namespace ckp

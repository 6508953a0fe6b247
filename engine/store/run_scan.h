// Reading runs and checkpoints from the files themselves, without the index.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/error.h"
#include "ckp/file_system.h"
#include "ckp/records.h"
#include "load/open_pack.h"
#include "runs/journal.h"
#include "store/layout.h"

namespace ckp {

// A symbolic link whose target is gone, like that of a disk that is not mounted: listed, and not to
// be opened.
bool is_link_to_nowhere(FileSystem& fs, const std::filesystem::path& path);
// What is wrong with such a file, and what to do.
std::string describe_link_to_nowhere(const std::filesystem::path& path);

// Everything in runs/. Error(corrupt) when that directory is missing.
std::vector<std::string> list_runs(FileSystem& fs, const StoreLayout& layout);

// Names below runs/ that are run directories; those being made or taken away (".new", ".dead") are
// not.
std::vector<std::string> list_run_directories(FileSystem& fs, const StoreLayout& layout);

// Names below runs/ of run directories that lead nowhere: symbolic links whose target is gone, like
// that of a disk that is not mounted. What is in them is not gone, and nobody knows it.
std::vector<std::string> list_unreachable_runs(FileSystem& fs, const StoreLayout& layout);
// The one among them that a name, or when it has at least four digits an id prefix, may mean.
std::optional<std::string> find_unreachable_run(FileSystem& fs, const StoreLayout& layout,
                                                std::string_view name_or_id);
// The error for one of them.
Error leads_nowhere(const StoreLayout& layout, const std::string& directory);

struct ScannedPack {
  PackName name;
  std::filesystem::path path;
};

// A run's directory: one listing.
struct RunDirectory {
  std::string name;  // below runs/
  std::filesystem::path path;
  std::vector<std::string> names;  // everything in it
  std::vector<ScannedPack> packs;  // by name: live ones in commit order
  Uuid run;                        // from the directory's name
};
RunDirectory list_run(FileSystem& fs, const StoreLayout& layout, const std::string& directory);

// A live checkpoint as its own pack describes it.
struct ScannedCheckpoint {
  CheckpointRecord record;
  format::Manifest manifest;
  OpenPack pack;
};
// Throws what open_pack and read_manifest throw.
ScannedCheckpoint read_checkpoint(FileSystem& fs, const ScannedPack& pack);

// The run's record from its journals, or, when those are lost, as far as its checkpoints' manifests
// tell it. Nothing when there is neither: not a run.
std::optional<RunRecord> read_run(FileSystem& fs, const RunDirectory& directory);

// Of a pack that has several files by other hands' copying, the one with the smallest number
// counts. The error for any other.
Error repeated_pack(const ScannedPack& pack);

// All live checkpoints, in commit order. Damaged ones, those of a newer format, and further files
// of a pack are left out, with their error in `unreadable`. Any other error is thrown: what cannot
// be read right now is not gone.
std::vector<CheckpointRecord> read_checkpoints(FileSystem& fs, const RunDirectory& directory,
                                               std::vector<Error>* unreadable = nullptr);

// The directory of the run with exactly this name, or nothing.
std::optional<RunDirectory> find_run_named(FileSystem& fs, const StoreLayout& layout,
                                           std::string_view name);

// The directory of the run with this name or, when none has it, id prefix; or nothing. Looks at
// directories and journals only. Error(invalid_argument) when a prefix means several runs,
// Error(io) when the run may be one whose directory leads nowhere.
std::optional<RunDirectory> find_run(FileSystem& fs, const StoreLayout& layout,
                                     std::string_view name_or_id);

// The file of a pack: in `first` if it is there, else anywhere in the store, live before retired.
std::optional<ScannedPack> find_pack(FileSystem& fs, const StoreLayout& layout,
                                     const std::string& first, const Uuid& uuid);

// The same, looking into this listing of the first one's directory.
std::optional<ScannedPack> find_pack(FileSystem& fs, const StoreLayout& layout,
                                     const RunDirectory& first, const Uuid& uuid);

// Every pack that a checkpoint of this run refers to besides its own; those that are open already
// are taken from `known`.
PackSet open_referred_packs(FileSystem& fs, const StoreLayout& layout, const std::string& directory,
                            const format::Manifest& manifest, const PackSet& known = {});

}  // namespace ckp

#include "store/import.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "retention/prune.h"
#include "runs/journal.h"
#include "store/missing_checkpoints.h"
#include "store/run_impl.h"

namespace ckp {
namespace {

const std::string import_tag = "imported";

std::string run_name(const Checkpoint& checkpoint, const std::filesystem::path& file,
                     const ImportOptions& options) {
  if (!options.run.empty()) return options.run;
  const std::string& name = checkpoint.record().run_name;
  return name.empty() ? file.stem().string() : name;
}

// The run that an import left which was interrupted before it committed.
bool is_unfinished_import(StoreCore& core, const RunDirectory& directory) {
  if (core.kind().remote) return false;  // nothing is deleted there without being asked
  if (run_is_held(core.fs(), directory.path, directory.names)) return false;
  const auto record = read_run(core.fs(), directory);
  return record && record->tags.contains(import_tag) && lost_checkpoints(core, *record).empty();
}

Error name_taken(StoreCore& core, const std::string& name) {
  return {ErrorCode::already_exists,
          fmt::format("{}: a run named '{}' exists already, and an import must not become "
                      "what it resumes from; choose another name (--run NAME)",
                      core.layout().root.string(), name)};
}

// Makes room for a run of this name, or throws Error(already_exists).
void check_name(StoreCore& core, const std::string& name) {
  const auto taken = find_run_named(core.fs(), core.layout(), name);
  if (!taken) return;
  if (is_unfinished_import(core, *taken) && remove_empty_run(core, *taken)) return;
  throw name_taken(core, name);
}

std::unique_ptr<Run::Impl> create_run_for_import(std::shared_ptr<StoreCore> core,
                                                 const RunOptions& options) {
  try {
    return create_run(core, options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::already_exists) throw;
    throw name_taken(*core, options.name);  // another process was faster
  }
}

}  // namespace

CheckpointRecord import_file(std::shared_ptr<StoreCore> core, const std::filesystem::path& file,
                             const ImportOptions& options) {
  const Checkpoint checkpoint = open_file(file, core->file_system());
  const std::string name = run_name(checkpoint, file, options);
  check_name(*core, name);
  RunOptions created;
  created.name = name;
  created.tags[import_tag] = file.filename().string();
  auto run = create_run_for_import(core, created);
  try {
    const SaveReport report = run->adopt(checkpoint);
    run->finish(RunStatus::completed);
    return report.checkpoint;
  } catch (const Error&) {
    run.reset();
    try {
      remove_run(*core, name, {});  // a run without anything in it helps nobody
    } catch (const Error&) {
      // Not where deleting is refused. The error that led here is the one to report.
    }
    throw;
  }
}

}  // namespace ckp

#include "store/import.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "retention/prune.h"
#include "store/run_impl.h"

namespace ckp {
namespace {

std::string run_name(const Checkpoint& checkpoint, const std::filesystem::path& file,
                     const ImportOptions& options) {
  if (!options.run.empty()) return options.run;
  const std::string& name = checkpoint.record().run_name;
  return name.empty() ? file.stem().string() : name;
}

}  // namespace

CheckpointRecord import_file(std::shared_ptr<StoreCore> core, const std::filesystem::path& file,
                             const ImportOptions& options) {
  const Checkpoint checkpoint = open_file(file, core->file_system());
  const std::string name = run_name(checkpoint, file, options);
  if (find_run_named(core->fs(), core->layout(), name)) {
    throw Error(ErrorCode::already_exists,
                fmt::format("{}: a run named '{}' exists already, and an import must not become "
                            "what it resumes from; choose another name (--run NAME)",
                            core->layout().root.string(), name));
  }
  RunOptions created;
  created.name = name;
  created.tags["imported"] = file.filename().string();
  auto run = create_run(core, created);
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

#include "store/import.h"

#include "ckp/error.h"
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
  const bool exists = find_run(core->fs(), core->layout(), name).has_value();
  std::unique_ptr<Run::Impl> run;
  if (exists) {
    run = resume_run(core, name, std::nullopt);
  } else {
    RunOptions created;
    created.name = name;
    created.tags["imported"] = file.filename().string();
    run = create_run(core, created);
  }
  const SaveReport report = run->adopt(checkpoint);
  run->finish(RunStatus::completed);
  return report.checkpoint;
}

}  // namespace ckp

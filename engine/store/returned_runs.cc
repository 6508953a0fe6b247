#include "store/returned_runs.h"

#include <set>

#include "ckp/error.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

// What is left of a removed run has no record, and a directory that cannot be read now says
// nothing.
bool lacks_a_run(StoreCore& core, const std::vector<RunRecord>& listed) {
  std::set<Uuid> known;
  for (const RunRecord& run : listed) known.insert(run.id);
  try {
    for (const std::string& name : core.fs().list(core.layout().runs())) {
      const auto id = parse_run_directory(name);
      if (!id || known.contains(*id)) continue;
      const auto run = read_run(core.fs(), list_run(core.fs(), core.layout(), name));
      if (run && !known.contains(run->id)) return true;
    }
  } catch (const Error&) {
  }
  return false;
}

}  // namespace

bool list_returned_runs(StoreCore& core, std::vector<RunRecord>& listed) {
  if (!lacks_a_run(core, listed)) return true;
  const auto list = [&](const Index& index) { listed = index.runs(); };
  try {
    StoreLock lock = core.lock();
    // It may have been created in between, and its process has told the index.
    if (core.ask_if_trusted(lock, list) && !lacks_a_run(core, listed)) return true;
    core.recover(lock);
    return core.ask_if_trusted(lock, list);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::locked || error.code() == ErrorCode::invalid_argument) throw;
    return false;  // a place that cannot be written, a full disk
  }
}

}  // namespace ckp

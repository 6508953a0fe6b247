#include "store/returned_runs.h"

#include <algorithm>

#include "ckp/error.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

bool lacks_a_run(StoreCore& core, const RunList& listed) {
  std::vector<Uuid> known;
  for (const auto& run : listed) known.push_back(run->id);
  std::sort(known.begin(), known.end());
  return lacks_a_run(core, known);
}

}  // namespace

// What is left of a removed run has no record, and a directory that cannot be read now says
// nothing.
bool lacks_a_run(StoreCore& core, const std::vector<Uuid>& known) {
  const auto is_known = [&](const Uuid& id) {
    return std::binary_search(known.begin(), known.end(), id);
  };
  try {
    for (const std::string& name : core.fs().list(core.layout().runs())) {
      const auto id = parse_run_directory(name);
      if (!id || is_known(*id)) continue;
      const auto run = read_run(core.fs(), list_run(core.fs(), core.layout(), name));
      if (run && !is_known(run->id)) return true;
    }
  } catch (const Error&) {
  }
  return false;
}

bool list_returned_runs(StoreCore& core, RunList& listed) {
  if (!lacks_a_run(core, listed)) return true;
  const auto list = [&](const Index& index) { listed = *index.run_list(); };
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

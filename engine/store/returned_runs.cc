#include "store/returned_runs.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "ckp/error.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

// File systems keep times in steps, some of two seconds. A directory that has changed so lately may
// change once more and show the same time.
constexpr std::int64_t settled_ns = 3'000'000'000;

bool is_settled(const FileStatus& directory) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::nanoseconds(now).count() - directory.changed_ns > settled_ns;
}

// Whether a directory has the record of a run that is not among `known`, which are sorted. What is
// left of a removed run has no record, and a directory that cannot be read now says nothing.
// `sums`: of the index's runs that they are.
bool lacks_a_run(StoreCore& core, const std::vector<Uuid>& known,
                 const std::optional<TableSums>& sums) {
  const auto is_known = [&](const Uuid& id) {
    return std::binary_search(known.begin(), known.end(), id);
  };
  try {
    const auto directory = core.fs().status(core.layout().runs());
    bool all_known = directory && is_settled(*directory) && sums;
    for (const std::string& name : core.fs().list(core.layout().runs())) {
      const auto id = parse_run_directory(name);
      if (!id || is_known(*id)) continue;
      all_known = false;  // its record may appear without a change of runs/
      const auto run = read_run(core.fs(), list_run(core.fs(), core.layout(), name));
      if (run && !is_known(run->id)) return true;
    }
    if (all_known) core.saw_all_runs({*directory, *sums});
  } catch (const Error&) {
  }
  return false;
}

bool lacks_a_run(StoreCore& core, const ListedRuns& listed) {
  if (core.has_all_runs(listed.sums)) return false;
  std::vector<Uuid> known;
  for (const auto& run : *listed.runs) known.push_back(run->id);
  std::sort(known.begin(), known.end());
  return lacks_a_run(core, known, listed.sums);
}

}  // namespace

bool lacks_a_run(StoreCore& core, const Index& index) {
  std::optional<TableSums> sums = index.run_sums();
  if (core.has_all_runs(*sums)) return false;
  const std::vector<Uuid> ids = index.run_ids();
  if (index.run_sums() != *sums) sums.reset();  // changed in between
  return lacks_a_run(core, ids, sums);
}

bool list_returned_runs(StoreCore& core, ListedRuns& listed) {
  if (!lacks_a_run(core, listed)) return true;
  const auto list = [&](const Index& index) { listed = index.run_list(); };
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

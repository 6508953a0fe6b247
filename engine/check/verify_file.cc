// Verifying one `.ckp` file by itself.
#include <fmt/format.h>

#include <set>

#include "check/finding.h"
#include "check/pack_check.h"
#include "check/progress_counter.h"
#include "ckp/error.h"
#include "ckp/file_system.h"
#include "ckp/verify.h"
#include "runs/record_codec.h"

namespace ckp {
namespace {

Finding describe_problem(const std::string& path, const PackProblem& problem,
                         const PackCheck& check) {
  if (!check.manifest) return make_finding(path, problem);
  CheckpointRecord record = record_from_facts(check.manifest->checkpoint);
  record.id = check.directory->header.uuid;
  return make_finding(path, problem, record.id, record, *check.manifest);
}

void note_other_packs(const PackCheck& check, VerifyReport& report) {
  if (!check.manifest) return;
  std::set<Uuid> others;
  for (const auto& reference : check.manifest->references) others.insert(reference.address.pack);
  others.erase(Uuid{});
  if (others.empty()) return;
  report.notes.push_back(
      fmt::format("refers to chunks of {} other packs, which were not looked at; verify the store "
                  "it belongs to",
                  others.size()));
}

}  // namespace

VerifyReport verify_file(const std::string& path, const VerifyOptions& options) {
  const FileSource source(
      std::shared_ptr<const File>(posix_file_system()->open(path, OpenMode::read)));
  ProgressCounter counter(options, source.size());
  const PackCheck check = check_pack(source, options.level, options.threads,
                                     [&](std::uint64_t bytes) { return counter.add(bytes); });
  VerifyReport report;
  report.packs = 1;
  report.checkpoints = check.manifest ? 1 : 0;
  report.chunks = check.chunks;
  report.bytes = counter.done();
  report.complete = !counter.cancelled();
  for (const PackProblem& problem : check.problems) {
    report.findings.push_back(describe_problem(path, problem, check));
  }
  note_other_packs(check, report);
  return report;
}

}  // namespace ckp

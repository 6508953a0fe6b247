// Verifying one `.ckp` file by itself.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "check/finding.h"
#include "check/pack_check.h"
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

void note_other_packs(const format::Manifest& manifest, VerifyReport& report) {
  std::set<Uuid> others;
  for (const auto& reference : manifest.references) others.insert(reference.address.pack);
  others.erase(Uuid{});
  if (others.empty()) return;
  report.notes.push_back(
      fmt::format("refers to chunks of {} other packs, which were not looked at; verify the store "
                  "it belongs to",
                  others.size()));
}

// Whether a sound file holds a checkpoint at all.
void note_manifest(const PackCheck& check, VerifyReport& report) {
  if (!check.directory || check.directory->manifests.empty()) return;
  report.checkpoints = 1;
  try {
    note_other_packs(
        check.manifest ? *check.manifest : format::read_manifest(*check.source, *check.directory),
        report);
  } catch (const Error&) {
    report.checkpoints = 0;  // told among the findings
  }
}

}  // namespace

VerifyReport verify_file(const std::string& path, const VerifyOptions& options) {
  const auto fs = posix_file_system();
  ProgressCounter counter(options, fs->open(path, OpenMode::read)->status().size);
  const CheckScope scope{options.level, {options.subset, options.seed}};
  VerifyReport report;
  check_packs(*fs, {path}, scope, options.threads, counter, [&](std::size_t, PackCheck& check) {
    if (check.refused) throw *check.refused;
    report.packs = 1;
    report.chunks = check.chunks;
    note_manifest(check, report);
    for (const PackProblem& problem : check.problems) {
      report.findings.push_back(describe_problem(path, problem, check));
    }
  });
  report.bytes = std::min(counter.done(), counter.total());
  report.bytes_total = counter.total();
  report.complete = !counter.stopped();
  report.timed_out = counter.timed_out();
  return report;
}

}  // namespace ckp

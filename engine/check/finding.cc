#include "check/finding.h"

#include "check/chunk_users.h"

namespace ckp {

Finding make_finding(const std::string& path, const PackProblem& problem) {
  Finding finding;
  finding.path = path;
  finding.chunk = problem.chunk;
  finding.offset = problem.offset;
  finding.message = problem.message;
  return finding;
}

Finding make_finding(const std::string& path, const PackProblem& problem, const Uuid& damaged,
                     const CheckpointRecord& record, const format::Manifest& manifest) {
  Finding finding = make_finding(path, problem);
  finding.run = record.run_name;
  finding.checkpoint = record.id.hex();
  finding.epoch = record.epoch;
  finding.step = record.step;
  if (problem.chunk < 0) return finding;
  const auto tensors =
      tensors_in_chunk(manifest, record.id, {damaged, static_cast<std::uint32_t>(problem.chunk)});
  if (!tensors.empty()) {
    finding.tensor = tensors.front();
    finding.more_tensors = tensors.size() - 1;
  }
  return finding;
}

}  // namespace ckp

// From a problem in a pack to what a person wants to know about it.
#pragma once

#include <string>

#include "check/pack_check.h"
#include "ckp/verify.h"
#include "store/run_scan.h"

namespace ckp {

// A problem of the file `path`, which is pack `damaged`, told for the checkpoint `record` with
// `manifest` (of pack record.id) that it hits.
Finding make_finding(const std::string& path, const PackProblem& problem, const Uuid& damaged,
                     const CheckpointRecord& record, const format::Manifest& manifest);

// The same when no checkpoint is known.
Finding make_finding(const std::string& path, const PackProblem& problem);

}  // namespace ckp

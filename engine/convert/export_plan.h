// What of a checkpoint goes into a safetensors file, and under which names.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ckp/convert.h"
#include "convert/safetensors_header.h"

namespace ckp {

struct ExportPlan {
  safetensors::Header header;  // laid out
  // For each tensor of the header the one of the checkpoint.
  std::vector<const format::TensorEntry*> sources;
  std::vector<std::string> left_out;  // parts of which something is not written
};

// Throws Error(not_found) for a part that the state lacks; Error(unsupported) naming a tensor
// whose dtype safetensors lacks, or which is a shard; Error(invalid_argument) when two tensors
// would get the same name.
ExportPlan plan_export(const Checkpoint& from, const ExportOptions& options);

// Plain values as texts, by path: strings as they are, lists as JSON. Values of parts in `left_out`
// are left out, and what no text can say (bytes) or what is longer than 64 KiB: the names of those
// parts are added to `left_out`.
std::map<std::string, std::string> metadata_values(const Value::Map& values,
                                                   std::vector<std::string>& left_out);

}  // namespace ckp

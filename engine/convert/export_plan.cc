// Chooses tensors, names and metadata.
#include "convert/export_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ckp/artifacts.h"
#include "ckp/error.h"
#include "convert/part.h"

namespace ckp {
namespace {

using format::TensorEntry;
using Parts = std::set<std::string, std::less<>>;

struct Choice {
  Parts parts;
  bool keep_prefix = true;
};

Parts parts_of(const format::Manifest& manifest) {
  Parts parts;
  for (const TensorEntry& tensor : manifest.tensors) {
    if (!is_artifact(manifest, tensor)) parts.emplace(part_of(tensor.name));
  }
  return parts;
}

Choice choose(const Checkpoint& from, const Parts& present, const ExportOptions& options) {
  if (options.all) return {present, true};
  if (options.parts.empty()) {
    if (!present.contains(model_part)) return {present, true};
    return {{std::string(model_part)}, false};
  }
  for (const std::string& part : options.parts) {
    if (present.contains(part)) continue;
    throw Error(ErrorCode::not_found, fmt::format("{}: no tensors in part '{}'; it has: {}",
                                                  from.name(), part, fmt::join(present, ", ")));
  }
  Choice choice{{options.parts.begin(), options.parts.end()}, true};
  choice.keep_prefix = choice.parts.size() > 1;
  return choice;
}

void check_tensor(const Checkpoint& from, const TensorEntry& tensor) {
  const auto bad = [&](std::string_view problem) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: tensor {} {}", from.name(), tensor.name, problem));
  };
  if (!safetensors::dtype_name(tensor.dtype)) {
    bad(fmt::format("has dtype {}, which safetensors files cannot hold; choose other parts",
                    to_string(tensor.dtype)));
  }
  if (!tensor.global_shape.empty()) {
    bad(fmt::format("is a shard of a tensor of shape [{}], which safetensors files cannot say",
                    fmt::join(tensor.global_shape, ", ")));
  }
}

using Sources = std::map<std::string, const TensorEntry*>;

Sources collect(const Checkpoint& from, const Choice& choice) {
  Sources sources;
  for (const TensorEntry& tensor : from.manifest().tensors) {
    if (!choice.parts.contains(part_of(tensor.name))) continue;
    if (is_artifact(from.manifest(), tensor)) continue;
    check_tensor(from, tensor);
    const std::string_view name = choice.keep_prefix ? tensor.name : without_part(tensor.name);
    const auto [other, added] = sources.emplace(name, &tensor);
    if (added) continue;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: tensors {} and {} would both be named {}; write all parts",
                            from.name(), other->second->name, tensor.name, name));
  }
  if (sources.contains("__metadata__")) {
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: safetensors files cannot hold a tensor named __metadata__", from.name()));
  }
  return sources;
}

// The metadata of the safetensors file that the checkpoint was made from: nothing when it was not,
// a null when that file had none.
const Value* original_metadata(const Checkpoint& from) {
  return find_value(from.values(), in_part(safetensors_part, "metadata"));
}

std::map<std::string, std::string> texts_of(const Value::Map& metadata) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, text] : metadata) texts.emplace(key, text.as_string());
  return texts;
}

std::map<std::string, std::string> own_metadata(const Checkpoint& from,
                                                std::vector<std::string>& left_out) {
  auto texts = metadata_values(from.values(), left_out);
  const CheckpointRecord& record = from.record();
  texts["format"] = "pt";  // readers of model files ask for it: the tensors are PyTorch's
  texts["epoch"] = std::to_string(record.epoch);
  texts["step"] = std::to_string(record.step);
  texts["checkpoint"] = record.id.hex();
  if (!record.run_name.empty()) texts["run"] = record.run_name;
  for (const auto& [name, value] : record.metrics) {
    texts[in_part("metrics", name)] = fmt::format("{}", value);
  }
  return texts;
}

}  // namespace

ExportPlan plan_export(const Checkpoint& from, const ExportOptions& options) {
  const Parts present = parts_of(from.manifest());
  const Choice choice = choose(from, present, options);
  const Sources sources = collect(from, choice);
  ExportPlan plan;
  for (const auto& [name, tensor] : sources) {
    plan.header.tensors.push_back({name, tensor->dtype, tensor->shape, 0, 0});
  }
  safetensors::lay_out(plan.header.tensors);
  for (const safetensors::Tensor& tensor : plan.header.tensors) {
    plan.sources.push_back(sources.at(tensor.name));
  }
  std::ranges::set_difference(present, choice.parts, std::back_inserter(plan.left_out));
  if (!artifacts_of(from).empty()) plan.left_out.emplace_back(artifacts_part);
  std::ranges::sort(plan.left_out);
  const Value* original = original_metadata(from);
  if (original == nullptr) {
    plan.header.metadata = own_metadata(from, plan.left_out);
  } else if (const auto* metadata = original->get_if<Value::Map>()) {
    plan.header.metadata = texts_of(*metadata);
  }
  return plan;
}

}  // namespace ckp

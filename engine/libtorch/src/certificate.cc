#include "certificate.h"

#include <fmt/format.h>

#include <set>

#include "ckp/certificate.h"
#include "program_facts.h"
#include "restore_plan.h"
#include "resume_warnings.h"

namespace ckp::libtorch {
namespace {

// "optimizer (AdamW)".
std::string describe(const CertifiedPart& part, const Value::Map& values) {
  const auto saved = values.find(part.name);
  const Value* type = saved == values.end() ? nullptr : saved->second.find("type");
  const std::string* name = type == nullptr ? nullptr : type->get_if<std::string>();
  return name == nullptr ? std::string(part.part.kind())
                         : fmt::format("{} ({})", part.part.kind(), *name);
}

Value::Map all_facts(const std::vector<CertifiedPart>& parts, const Value::Map& own,
                     const Ranks& ranks) {
  std::vector<const torch::nn::Module*> models;
  for (const CertifiedPart& part : parts) {
    if (part.module != nullptr) models.push_back(part.module);
  }
  Value::Map facts = program_facts(models, ranks);
  for (const auto& [name, value] : own) facts.insert_or_assign(name, value);
  return facts;
}

// Recorded for people; a sampler compares it itself.
void add_batch_size(Value::Map& facts, const std::vector<CertifiedPart>& parts,
                    const Value::Map& values) {
  for (const CertifiedPart& part : parts) {
    if (part.part.kind() != "sampler") continue;
    const Value* size = find_value(values, part.name + "/batch_size");
    if (size != nullptr) facts.try_emplace("batch_size", *size);
  }
}

const Value* facts_of(const Checkpoint& checkpoint) {
  return find_value(checkpoint.values(), fmt::format("{}/facts", certificate_part));
}

Value::List warnings_about(const std::vector<CertifiedPart>& parts, const Value::Map& values) {
  std::set<std::string, std::less<>> kinds;
  for (const CertifiedPart& part : parts) kinds.emplace(part.part.kind());
  Value::List warnings;
  for (const CertifiedPart& part : parts) {
    if (part.module == nullptr) continue;
    for (std::string& text : resume_warnings(part.name, *part.module, kinds)) {
      warnings.push_back(std::move(text));
    }
  }
  if (kinds.contains("scheduler")) return warnings;
  for (const CertifiedPart& part : parts) {
    const auto saved = values.find(part.name);
    if (part.part.kind() != "optimizer" || saved == values.end()) continue;
    if (auto text = scheduler_warning(part.name, saved->second)) warnings.push_back(*text);
  }
  return warnings;
}

}  // namespace

Value::Map make_certificate(const std::vector<CertifiedPart>& parts, const Value::Map& values,
                            const Value::Map& facts, const Ranks& ranks) {
  Value::Map described;
  for (const CertifiedPart& part : parts) described[part.name] = describe(part, values);
  Value::Map recorded = all_facts(parts, facts, ranks);
  add_batch_size(recorded, parts, values);
  return {{"parts", std::move(described)},
          {"facts", std::move(recorded)},
          {"warnings", warnings_about(parts, values)}};
}

void compare_facts(RestorePlan& plan, const std::vector<CertifiedPart>& parts,
                   const Value::Map& facts, const Ranks& ranks) {
  const Value* stored = facts_of(plan.checkpoint());
  if (stored == nullptr) return;
  for (const auto& [name, value] : all_facts(parts, facts, ranks)) {
    if (const Value* theirs = stored->find(name)) plan.compare_fact(name, value, *theirs);
  }
}

Ranks saved_ranks(const Checkpoint& checkpoint) {
  Ranks ranks;
  const Value* facts = facts_of(checkpoint);
  if (facts == nullptr) return ranks;
  auto read = [&](const char* name, std::int64_t& number) {
    const Value* value = facts->find(name);
    if (value == nullptr) return;
    if (const std::int64_t* found = value->get_if<std::int64_t>()) number = *found;
  };
  read("rank", ranks.rank);
  read("world_size", ranks.world_size);
  return ranks;
}

}  // namespace ckp::libtorch

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

Value::Map all_facts(const std::vector<CertifiedPart>& parts, const Value::Map& own) {
  std::vector<const torch::nn::Module*> models;
  for (const CertifiedPart& part : parts) {
    if (part.module != nullptr) models.push_back(part.module);
  }
  Value::Map facts = program_facts(models);
  for (const auto& [name, value] : own) facts.insert_or_assign(name, value);
  return facts;
}

Value::List warnings_about(const std::vector<CertifiedPart>& parts) {
  std::set<std::string, std::less<>> kinds;
  for (const CertifiedPart& part : parts) kinds.emplace(part.part.kind());
  Value::List warnings;
  for (const CertifiedPart& part : parts) {
    if (part.module == nullptr) continue;
    for (std::string& text : resume_warnings(part.name, *part.module, kinds)) {
      warnings.push_back(std::move(text));
    }
  }
  return warnings;
}

}  // namespace

Value::Map make_certificate(const std::vector<CertifiedPart>& parts, const Value::Map& values,
                            const Value::Map& facts) {
  Value::Map described;
  for (const CertifiedPart& part : parts) described[part.name] = describe(part, values);
  return {{"parts", std::move(described)},
          {"facts", all_facts(parts, facts)},
          {"warnings", warnings_about(parts)}};
}

void compare_facts(RestorePlan& plan, const std::vector<CertifiedPart>& parts,
                   const Value::Map& facts) {
  const auto certificate = plan.checkpoint().values().find(certificate_part);
  if (certificate == plan.checkpoint().values().end()) return;
  const Value* stored = certificate->second.find("facts");
  if (stored == nullptr) return;
  for (const auto& [name, value] : all_facts(parts, facts)) {
    if (const Value* theirs = stored->find(name)) plan.compare_fact(name, value, *theirs);
  }
}

}  // namespace ckp::libtorch

#include "facts.h"

#include <fmt/format.h>

#include "render.h"

namespace ckp::tool {
namespace {

void add_values(Facts& facts, const std::string& title, const Value::Map& values) {
  for (auto& [name, value] : flatten(values)) facts.emplace_back(title + " " + name, value);
}

}  // namespace

Facts checkpoint_facts(const CheckpointRecord& checkpoint) {
  Facts facts{{"checkpoint", address_text(checkpoint)},
              {"id", checkpoint.id.hex()},
              {"epoch", std::to_string(checkpoint.epoch)},
              {"step", std::to_string(checkpoint.step)},
              {"time", local_time(checkpoint.created_ns)},
              {"tensors", fmt::format("{}, {}", grouped(checkpoint.tensor_count),
                                      exact_size(checkpoint.tensor_bytes))},
              {"file size", exact_size(checkpoint.file_size)}};
  if (checkpoint.attempt != 0) facts.emplace_back("attempt", std::to_string(checkpoint.attempt));
  if (checkpoint.commit != 0) facts.emplace_back("commit", std::to_string(checkpoint.commit));
  if (!checkpoint.writer.empty()) facts.emplace_back("writer", printable(checkpoint.writer));
  if (checkpoint.final) facts.emplace_back("final", "yes: the end of the run");
  if (checkpoint.salvaged_from.has_value()) {
    facts.emplace_back("salvaged from", checkpoint.salvaged_from->hex());
    facts.emplace_back("missing", printable(join(checkpoint.missing)));
  }
  if (checkpoint.nonfinite) {
    facts.emplace_back("nonfinite", "yes: a tensor holds NaN or infinity; resume passes it over");
  }
  if (checkpoint.mid_step()) {
    facts.emplace_back("mid-step", "yes: an exception ended the step; resume passes it over");
  }
  add_values(facts, "tag", checkpoint.tags);
  return facts;
}

Facts metric_facts(const CheckpointRecord& checkpoint) {
  Facts facts;
  for (const auto& [name, value] : checkpoint.metrics) {
    facts.emplace_back(printable(name), number_text(value));
  }
  return facts;
}

std::string later_text(const std::vector<LaterFact>& later) {
  if (later.empty()) return "";
  Facts rows;
  for (const LaterFact& fact : later) {
    std::string what(fact.kind == LaterFact::Kind::tag_removed ? "tag removed"
                                                               : to_string(fact.kind));
    if (!fact.name.empty()) what += " " + printable(fact.name);
    if (!fact.value.is_null()) what += " " + value_text(fact.value);
    rows.emplace_back(local_time(fact.time_ns), fmt::format("{} ({})", what, printable(fact.who)));
  }
  return "\nlater\n" + facts_text(rows, "  ");
}

std::vector<std::string> flags_of(const FoundCheckpoint& found) {
  const CheckpointRecord& each = found.checkpoint;
  std::vector<std::string> flags;
  if (found.best) flags.emplace_back("best");
  if (each.final) flags.emplace_back("final");
  if (each.nonfinite) flags.emplace_back("nonfinite");
  if (each.mid_step()) flags.emplace_back("mid-step");
  if (each.salvaged_from.has_value()) {
    flags.emplace_back("salvaged");
  } else if (!found.on_line) {
    flags.emplace_back("superseded");
  }
  return flags;
}

}  // namespace ckp::tool

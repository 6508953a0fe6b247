#include "run_text.h"

#include <fmt/format.h>

#include "facts.h"
#include "render.h"

namespace ckp::tool {
namespace {

// A heading with rows below it; nothing without rows.
std::string group(const std::string& heading, const Facts& facts) {
  return facts.empty() ? "" : "\n" + heading + "\n" + facts_text(facts, "  ");
}

const Attempt* attempt_of(const RunRecord& run, std::uint32_t number) {
  for (const Attempt& one : run.attempts) {
    if (one.number == number) return &one;
  }
  return nullptr;
}

void append_facts(Facts& facts, const Facts& more) {
  facts.insert(facts.end(), more.begin(), more.end());
}

// What an attempt has that the one before had not, or otherwise.
Facts changed(const Value::Map& before, const Value::Map& now) {
  Value::Map differing;
  for (const auto& [name, value] : now) {
    const auto old = before.find(name);
    if (old == before.end() || !(old->second == value)) differing.emplace(name, value);
  }
  return flatten(differing);
}

Facts attempt_facts(const Attempt& attempt) {
  Facts facts{{"started", local_time(attempt.started_ns)}};
  if (attempt.last_seen_ns != 0) facts.emplace_back("last seen", local_time(attempt.last_seen_ns));
  facts.emplace_back("process", fmt::format("{} on {}", attempt.pid, printable(attempt.host)));
  if (attempt.devices != 1) {
    facts.emplace_back("devices in use", number_text(attempt.devices));
  }
  if (attempt.continued_from.has_value()) {
    facts.emplace_back("continued from", short_id(*attempt.continued_from));
  }
  return facts;
}

// Of the first attempt all; of a later one what differs from the one before.
std::string attempt_text(const RunRecord& run, const Attempt& attempt) {
  Facts facts = attempt_facts(attempt);
  if (attempt.number <= 1) {
    append_facts(facts, flatten(run.environment_in(attempt.number)));
    return group(fmt::format("attempt {}", attempt.number), facts);
  }
  const std::uint32_t before = attempt.number - 1;
  for (const auto& [name, value] :
       changed(run.parameters_in(before), run.parameters_in(attempt.number))) {
    facts.emplace_back("parameter " + name, value);
  }
  for (const auto& [name, value] : changed(run.data_in(before), run.data_in(attempt.number))) {
    facts.emplace_back("data " + name, value);
  }
  append_facts(facts, changed(run.environment_in(before), run.environment_in(attempt.number)));
  return group(fmt::format("attempt {}", attempt.number), facts);
}

Facts run_facts(const RunHistory& history) {
  const RunRecord& run = history.run();
  Facts facts{{"run", run.name},
              {"id", run.id.hex()},
              {"status", std::string(to_string(run.status))},
              {"created", local_time(run.created_ns)},
              {"duration", fmt::format("{} h in {}, {} device hours", number_text(history.hours()),
                                       counted(run.attempts.size(), "attempt"),
                                       number_text(history.device_hours()))},
              {"directory", "runs/" + printable(run.directory)}};
  if (!run.experiment.empty()) facts.emplace_back("experiment", printable(run.experiment));
  if (!run.best_metric.empty()) facts.emplace_back("best metric", printable(run.best_metric));
  if (run.parent) {
    facts.emplace_back(
        "started from",
        fmt::format("{}@{}, epoch {}, step {}", printable(run.parent->run_name),
                    run.parent->checkpoint.short_hex(), run.parent->epoch, run.parent->step));
  }
  for (const auto& [metric, better] : run.directions) {
    facts.emplace_back("metric " + printable(metric),
                       better == Better::lower ? "lower is better" : "higher is better");
  }
  return facts;
}

}  // namespace

std::string run_text(const RunHistory& history) {
  const RunRecord& run = history.run();
  std::string text = facts_text(run_facts(history));
  text += group("parameters", flatten(run.parameters));
  text += group("tags", flatten(run.tags));
  text += group("data", flatten(run.data));
  text += later_text(run.later);
  if (run.attempts.empty()) text += group("environment", flatten(run.environment));
  for (const Attempt& attempt : run.attempts) text += attempt_text(run, attempt);
  return text;
}

Json history_json(const RunHistory& history) {
  Json json = to_json(history.run());
  json["duration_hours"] = to_json(history.hours());
  json["device_hours"] = to_json(history.device_hours());
  return json;
}

std::string maker_text(const RunRecord& run, std::uint32_t attempt) {
  Facts facts{{"run", run.name}, {"attempt", std::to_string(attempt)}};
  const Attempt* const one = attempt_of(run, attempt);
  if (one == nullptr) {
    facts.emplace_back("note",
                       "the journal of this attempt cannot be read, so what it recorded is "
                       "not known; ckptool verify says more");
    return group("made by", facts);
  }
  append_facts(facts, attempt_facts(*one));
  append_facts(facts, flatten(run.environment_in(attempt)));
  return group("made by", facts) + group("parameters", flatten(run.parameters_in(attempt))) +
         group("data", flatten(run.data_in(attempt)));
}

Json maker_json(const RunRecord& run, std::uint32_t attempt) {
  if (attempt_of(run, attempt) == nullptr) {  // its journal cannot be read
    return {{"run", run.name},       {"run_id", run.id.hex()}, {"attempt", attempt},
            {"parameters", nullptr}, {"data", nullptr},        {"environment", nullptr}};
  }
  return {{"run", run.name},
          {"run_id", run.id.hex()},
          {"attempt", attempt},
          {"parameters", to_json(run.parameters_in(attempt))},
          {"data", to_json(run.data_in(attempt))},
          {"environment", to_json(run.environment_in(attempt))}};
}

}  // namespace ckp::tool

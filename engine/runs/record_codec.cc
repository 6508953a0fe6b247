#include "runs/record_codec.h"

#include <fmt/format.h>

#include <cmath>

#include "ckp/error.h"
#include "runs/field_reader.h"

namespace ckp {
namespace {

Value to_value(const JournalMark& mark) {
  return Value::Map{{"id", uuid_bytes(mark.journal)},
                    {"length", mark.length},
                    {"digest", digest_bytes(mark.digest)}};
}

JournalMark mark_from(const Value::Map& map) {
  const FieldReader fields(map, "journal mark");
  JournalMark mark;
  fields.read("id", mark.journal);
  fields.read("length", mark.length);
  fields.read("digest", mark.digest);
  return mark;
}

CheckpointRecord record_from(const FieldReader& fields) {
  CheckpointRecord record;
  fields.read("run_id", record.run);
  fields.read("run_name", record.run_name);
  fields.read("attempt", record.attempt);
  fields.read("continued_from", record.continued_from);
  fields.read("epoch", record.epoch);
  fields.read("step", record.step);
  fields.read("metrics", record.metrics);
  fields.read("tags", record.tags);
  fields.read("nonfinite", record.nonfinite);
  fields.read("final", record.final);
  fields.read("created_ns", record.created_ns);
  fields.read("writer", record.writer);
  if (const Value::Map* mark = fields.map("journal")) record.journal = mark_from(*mark);
  fields.read("salvaged_from", record.salvaged_from);
  if (record.salvaged_from) fields.read("missing", record.missing);
  return record;
}

Value::Map directions_map(const std::map<std::string, Better>& directions) {
  Value::Map map;
  for (const auto& [metric, better] : directions) {
    map.emplace(metric, better == Better::lower ? "lower" : "higher");
  }
  return map;
}

std::map<std::string, Better> directions_from(const Value::Map& map) {
  const FieldReader fields(map, "metric directions");
  std::map<std::string, Better> directions;
  for (const auto& entry : map) {
    const std::string& text = *fields.text(entry.first);
    if (text != "lower" && text != "higher") fields.refuse(entry.first, "lower or higher", text);
    directions.emplace(entry.first, text == "lower" ? Better::lower : Better::higher);
  }
  return directions;
}

Value to_value(const ParentCheckpoint& parent) {
  Value::Map map{{"checkpoint", uuid_bytes(parent.checkpoint)},
                 {"run_name", parent.run_name},
                 {"epoch", parent.epoch},
                 {"step", parent.step}};
  if (!parent.run.is_nil()) map.emplace("run", uuid_bytes(parent.run));
  return map;
}

ParentCheckpoint parent_from(const Value::Map& map) {
  const FieldReader fields(map, "parent of a run");
  ParentCheckpoint parent;
  fields.read("checkpoint", parent.checkpoint);
  fields.read("run", parent.run);
  fields.read("run_name", parent.run_name);
  fields.read("epoch", parent.epoch);
  fields.read("step", parent.step);
  return parent;
}

void read_created(const FieldReader& fields, RunRecord& run) {
  fields.read("name", run.name);
  fields.read("experiment", run.experiment);
  fields.read("parameters", run.parameters);
  fields.read("tags", run.tags);
  fields.read("environment", run.environment);
  fields.read("data", run.data);
  if (const Value::Map* map = fields.map("directions")) run.directions = directions_from(*map);
  fields.read("best_metric", run.best_metric);
  if (const Value::Map* map = fields.map("parent")) run.parent = parent_from(*map);
  fields.read("created_ns", run.created_ns);
}

void read_status(const FieldReader& fields, RunStatus& status) {
  const std::string* text = fields.text("status");
  if (text == nullptr) return;
  for (const RunStatus known :
       {RunStatus::in_progress, RunStatus::completed, RunStatus::failed, RunStatus::interrupted}) {
    if (*text == to_string(known)) {
      status = known;
      return;
    }
  }
  fields.refuse("status", "in_progress, completed, failed or interrupted", *text);
}

// Absent when there are none.
void put_later(Value::Map& map, const std::vector<LaterFact>& later) {
  if (later.empty()) return;
  Value::List list;
  for (const LaterFact& fact : later) list.emplace_back(later_fact_payload(fact));
  map.emplace("later", std::move(list));
}

void read_later(const FieldReader& fields, std::vector<LaterFact>& later) {
  const Value::List* list = fields.list("later");
  if (list == nullptr) return;
  for (const Value& fact : *list) later.push_back(later_fact_from(fact));
}

LaterFact::Kind later_kind_from(const FieldReader& fields) {
  std::string kind;
  fields.read("kind", kind);
  for (const auto known : {LaterFact::Kind::tag, LaterFact::Kind::tag_removed,
                           LaterFact::Kind::metric, LaterFact::Kind::note}) {
    if (kind == to_string(known)) return known;
  }
  fields.refuse("kind", "tag, tag_removed, metric or note", kind);
}

}  // namespace

Value::Map later_fact_payload(const LaterFact& fact) {
  Value::Map map{{"kind", to_string(fact.kind)}, {"time_ns", fact.time_ns}, {"who", fact.who}};
  if (!fact.name.empty()) map.emplace("name", fact.name);
  if (!fact.value.is_null()) map.emplace("value", fact.value);
  return map;
}

LaterFact later_fact_from(const Value& payload) {
  const FieldReader fields(payload, "later fact");
  LaterFact fact;
  fact.kind = later_kind_from(fields);
  fields.read("name", fact.name);
  fields.read("time_ns", fact.time_ns);
  fields.read("who", fact.who);
  if (const Value* value = payload.find("value")) fact.value = *value;
  if (fact.kind == LaterFact::Kind::metric && fact.value.get_if<double>() == nullptr) {
    fields.refuse("value", "a double", "something else");
  }
  return fact;
}

Value::Map manifest_facts(const CheckpointRecord& record) {
  Value::Map metrics(record.metrics.begin(), record.metrics.end());
  Value::Map facts{{"run_name", record.run_name},   {"attempt", std::int64_t{record.attempt}},
                   {"epoch", record.epoch},         {"step", record.step},
                   {"metrics", std::move(metrics)}, {"nonfinite", record.nonfinite},
                   {"final", record.final},         {"created_ns", record.created_ns},
                   {"tags", record.tags},           {"writer", record.writer}};
  if (!record.run.is_nil()) facts.emplace("run_id", uuid_bytes(record.run));
  if (record.continued_from) {
    facts.emplace("continued_from", uuid_bytes(*record.continued_from));
  }
  if (record.journal) facts.emplace("journal", to_value(*record.journal));
  if (record.salvaged_from) {
    facts.emplace("salvaged_from", uuid_bytes(*record.salvaged_from));
    facts.emplace("missing", Value::List(record.missing.begin(), record.missing.end()));
  }
  return facts;
}

CheckpointRecord record_from_facts(const Value::Map& facts) {
  return record_from(FieldReader(facts, "checkpoint"));
}

Value to_value(const CheckpointRecord& checkpoint) {
  Value::Map map = manifest_facts(checkpoint);
  map.emplace("id", uuid_bytes(checkpoint.id));
  map.emplace("commit", checkpoint.commit);
  map.emplace("file_size", checkpoint.file_size);
  map.emplace("tensor_bytes", checkpoint.tensor_bytes);
  map.emplace("tensor_count", checkpoint.tensor_count);
  put_later(map, checkpoint.later);
  return map;
}

CheckpointRecord checkpoint_from_value(const Value& value) {
  const FieldReader fields(value, "checkpoint record");
  CheckpointRecord record = record_from(fields);
  fields.read("id", record.id);
  fields.read("commit", record.commit);
  fields.read("file_size", record.file_size);
  fields.read("tensor_bytes", record.tensor_bytes);
  fields.read("tensor_count", record.tensor_count);
  read_later(fields, record.later);
  return record;
}

namespace {

// What there is nothing of has no key.
void put_map(Value::Map& map, const char* key, const Value::Map& values) {
  if (!values.empty()) map.emplace(key, values);
}

void put_time(Value::Map& map, const char* key, std::int64_t time_ns) {
  if (time_ns != 0) map.emplace(key, time_ns);
}

}  // namespace

Value run_created_payload(const RunRecord& run) {
  Value::Map map{{"name", run.name},
                 {"experiment", run.experiment},
                 {"parameters", run.parameters},
                 {"tags", run.tags},
                 {"environment", run.environment},
                 {"directions", directions_map(run.directions)},
                 {"best_metric", run.best_metric},
                 {"created_ns", run.created_ns}};
  if (run.parent) map.emplace("parent", to_value(*run.parent));
  put_map(map, "data", run.data);
  return map;
}

Value attempt_payload(const Attempt& attempt) {
  Value::Map map{{"number", std::int64_t{attempt.number}},
                 {"started_ns", attempt.started_ns},
                 {"pid", std::int64_t{attempt.pid}},
                 {"host", attempt.host}};
  if (attempt.continued_from) {
    map.emplace("continued_from", uuid_bytes(*attempt.continued_from));
    map.emplace("continued_attempt", std::int64_t{attempt.continued_attempt});
    map.emplace("continued_commit", attempt.continued_commit);
    if (attempt.continued_step >= 0) map.emplace("continued_step", attempt.continued_step);
  }
  put_map(map, "parameters", attempt.parameters);
  put_map(map, "environment", attempt.environment);
  put_map(map, "data", attempt.data);
  if (attempt.devices != 1) map.emplace("devices", attempt.devices);
  put_time(map, "last_seen_ns", attempt.last_seen_ns);
  put_time(map, "previous_seen_ns", attempt.previous_seen_ns);
  return map;
}

Value status_payload(RunStatus status, std::int64_t time_ns) {
  Value::Map map{{"status", to_string(status)}};
  put_time(map, "time_ns", time_ns);
  return map;
}

RunRecord run_from_created(const Value& payload) {
  RunRecord run;
  read_created(FieldReader(payload, "run_created record"), run);
  return run;
}

Attempt attempt_from_payload(const Value& payload) {
  const FieldReader fields(payload, "attempt record");
  Attempt attempt;
  fields.read("number", attempt.number);
  fields.read("continued_from", attempt.continued_from);
  if (attempt.continued_from) {
    fields.read("continued_attempt", attempt.continued_attempt);
    fields.read("continued_commit", attempt.continued_commit);
    fields.read("continued_step", attempt.continued_step);
    if (attempt.continued_step < -1) fields.refuse("continued_step", "0 or more", "less");
  }
  fields.read("started_ns", attempt.started_ns);
  fields.read("pid", attempt.pid);
  fields.read("host", attempt.host);
  fields.read("parameters", attempt.parameters);
  fields.read("environment", attempt.environment);
  fields.read("data", attempt.data);
  fields.read("devices", attempt.devices);
  if (!(attempt.devices >= 0 && std::isfinite(attempt.devices))) {
    fields.refuse("devices", "0 or more", fmt::format("{}", attempt.devices));
  }
  fields.read("last_seen_ns", attempt.last_seen_ns);
  fields.read("previous_seen_ns", attempt.previous_seen_ns);
  return attempt;
}

RunStatus status_from_payload(const Value& payload) {
  RunStatus status = RunStatus::in_progress;
  read_status(FieldReader(payload, "status record"), status);
  return status;
}

std::int64_t time_from_payload(const Value& payload) {
  std::int64_t time_ns = 0;
  FieldReader(payload, "journal record").read("time_ns", time_ns);
  return time_ns;
}

Value::Map source_diff_payload(std::uint32_t attempt, const Value& diff) {
  return {{"attempt", std::int64_t{attempt}}, {"diff", diff}};
}

Value repair_payload(const JournalRepair& repair) {
  return Value::Map{{"length", repair.length},
                    {"digest", digest_bytes(repair.digest)},
                    {"marked", repair.marked}};
}

JournalRepair repair_from_payload(const Value& payload) {
  const FieldReader fields(payload, "repaired record");
  JournalRepair repair;
  fields.read("length", repair.length);
  fields.read("digest", repair.digest);
  fields.read("marked", repair.marked);
  return repair;
}

Value to_value(const RunRecord& run) {
  Value value = run_created_payload(run);
  value["id"] = uuid_bytes(run.id);
  value["directory"] = run.directory;
  value["status"] = to_string(run.status);
  Value::List attempts;
  for (const Attempt& attempt : run.attempts) attempts.push_back(attempt_payload(attempt));
  value["attempts"] = std::move(attempts);
  put_later(*value.get_if<Value::Map>(), run.later);
  return value;
}

RunRecord run_from_value(const Value& value) {
  const FieldReader fields(value, "run record");
  RunRecord run;
  read_created(fields, run);
  fields.read("id", run.id);
  fields.read("directory", run.directory);
  read_status(fields, run.status);
  if (const Value::List* attempts = fields.list("attempts")) {
    for (const Value& attempt : *attempts) run.attempts.push_back(attempt_from_payload(attempt));
  }
  read_later(fields, run.later);
  return run;
}

}  // namespace ckp

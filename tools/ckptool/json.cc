#include "json.h"

#include <cmath>

#include "ckp/digest.h"

namespace ckp::tool {
namespace {

Json optional_id(const std::optional<Uuid>& id) {
  return id.has_value() ? Json(id->hex()) : Json(nullptr);
}

Json attempt_json(const Attempt& attempt) {
  return {{"number", attempt.number},
          {"continued_from", optional_id(attempt.continued_from)},
          {"started", iso_time(attempt.started_ns)},
          {"pid", attempt.pid},
          {"host", attempt.host},
          {"last_seen",
           attempt.last_seen_ns == 0 ? Json(nullptr) : Json(iso_time(attempt.last_seen_ns))},
          {"devices", to_json(attempt.devices)},
          {"parameters", to_json(attempt.parameters)},
          {"environment", to_json(attempt.environment)},
          {"data", to_json(attempt.data)}};
}

Json parent_json(const std::optional<ParentCheckpoint>& parent) {
  if (!parent) return nullptr;
  return {{"checkpoint", parent->checkpoint.hex()},
          {"run", parent->run_name},
          {"run_id", parent->run.is_nil() ? Json(nullptr) : Json(parent->run.hex())},
          {"epoch", parent->epoch},
          {"step", parent->step}};
}

Json later_json(const std::vector<LaterFact>& later) {
  Json list = Json::array();
  for (const LaterFact& fact : later) {
    list.push_back({{"kind", std::string(to_string(fact.kind))},
                    {"name", fact.name.empty() ? Json(nullptr) : Json(fact.name)},
                    {"value", to_json(fact.value)},
                    {"time", iso_time(fact.time_ns)},
                    {"who", fact.who}});
  }
  return list;
}

Json metrics_json(const std::map<std::string, double>& metrics) {
  Json out = Json::object();
  for (const auto& [name, value] : metrics) out[name] = to_json(value);
  return out;
}

}  // namespace

Json to_json(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  return number;
}

Json to_json(const Value& value) {
  if (value.is_null()) return nullptr;
  if (const bool* flag = value.get_if<bool>()) return *flag;
  if (const std::int64_t* number = value.get_if<std::int64_t>()) return *number;
  if (const double* number = value.get_if<double>()) return to_json(*number);
  if (const std::string* text = value.get_if<std::string>()) return *text;
  if (const Value::Bytes* bytes = value.get_if<Value::Bytes>()) {
    return {{"bytes", bytes->size()}, {"xxh3_128", digest_of(*bytes).hex()}};
  }
  if (const Value::List* list = value.get_if<Value::List>()) {
    Json out = Json::array();
    for (const Value& item : *list) out.push_back(to_json(item));
    return out;
  }
  return to_json(value.as_map());
}

Json to_json(const Value::Map& values) {
  Json out = Json::object();
  for (const auto& [key, value] : values) out[key] = to_json(value);
  return out;
}

Json to_json(const RunRecord& run) {
  Json directions = Json::object();
  for (const auto& [metric, better] : run.directions) {
    directions[metric] = better == Better::lower ? "min" : "max";
  }
  Json attempts = Json::array();
  for (const Attempt& attempt : run.attempts) attempts.push_back(attempt_json(attempt));
  return {{"name", run.name},
          {"id", run.id.hex()},
          {"directory", run.directory},
          {"experiment", run.experiment},
          {"status", std::string(to_string(run.status))},
          {"created", iso_time(run.created_ns)},
          {"parameters", to_json(run.parameters)},
          {"tags", to_json(run.tags)},
          {"environment", to_json(run.environment)},
          {"data", to_json(run.data)},
          {"directions", directions},
          {"best_metric", run.best_metric},
          {"parent", parent_json(run.parent)},
          {"attempts", attempts},
          {"later", later_json(run.later)}};
}

Json to_json(const CheckpointRecord& checkpoint) {
  return {
      {"id", checkpoint.id.hex()},
      {"run", checkpoint.run_name},
      {"run_id", checkpoint.run.is_nil() ? Json(nullptr) : Json(checkpoint.run.hex())},
      {"commit", checkpoint.commit},
      {"attempt", checkpoint.attempt},
      {"continued_from", optional_id(checkpoint.continued_from)},
      {"epoch", checkpoint.epoch},
      {"step", checkpoint.step},
      {"metrics", metrics_json(checkpoint.metrics)},
      {"tags", to_json(checkpoint.tags)},
      {"nonfinite", checkpoint.nonfinite},
      {"salvaged_from", checkpoint.salvaged_from.has_value() ? Json(checkpoint.salvaged_from->hex())
                                                             : Json(nullptr)},
      {"missing", checkpoint.missing},
      {"final", checkpoint.final},
      {"created", iso_time(checkpoint.created_ns)},
      {"file_size", checkpoint.file_size},
      {"tensor_bytes", checkpoint.tensor_bytes},
      {"tensor_count", checkpoint.tensor_count},
      {"writer", checkpoint.writer},
      {"later", later_json(checkpoint.later)}};
}

Json point_json(const MetricPoint& point) {
  return {{"attempt", point.attempt},
          {"epoch", point.epoch},
          {"step", point.step},
          {"time", iso_time(point.time_ns)},
          {"values", metrics_json(point.values)}};
}

Json to_json(const format::TensorEntry& tensor) {
  return {{"name", tensor.name},       {"dtype", std::string(to_string(tensor.dtype))},
          {"shape", tensor.shape},     {"strides", tensor.strides},
          {"storage", tensor.storage}, {"storage_offset", tensor.storage_offset}};
}

std::string document(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ckp::tool

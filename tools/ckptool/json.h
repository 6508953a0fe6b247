// How records look as JSON: the same keys in every command.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "ckp/format/manifest.h"
#include "ckp/metrics.h"
#include "ckp/records.h"
#include "ckp/value.h"

namespace ckp::tool {

// Keys keep the order in which they were written.
using Json = nlohmann::ordered_json;

// JSON has no NaN and no infinities: those are the strings "NaN", "Infinity", "-Infinity".
Json to_json(double number);
// Bytes become their size and digest.
Json to_json(const Value& value);
Json to_json(const Value::Map& values);
Json to_json(const RunRecord& run);
Json to_json(const CheckpointRecord& checkpoint);
Json point_json(const MetricPoint& point);
Json to_json(const format::TensorEntry& tensor);

// One document with a line break at its end. Bytes that are no UTF-8 (in paths) are replaced.
std::string document(const Json& json);

}  // namespace ckp::tool

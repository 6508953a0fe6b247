// Run and checkpoint records as plain values, for manifests, journals and the index.
#pragma once

#include "ckp/records.h"
#include "ckp/value.h"
#include "runs/journal.h"

namespace ckp {

// The `checkpoint` map of a manifest (spec/format.md): what is known before the commit. Leaves out
// id, commit, file_size, tensor_bytes and tensor_count, which the pack itself tells.
Value::Map manifest_facts(const CheckpointRecord& record);
// The inverse. Missing keys keep their defaults; a key of the wrong type is Error(corrupt).
CheckpointRecord record_from_facts(const Value::Map& facts);

// Complete records, for the index.
Value to_value(const RunRecord& run);
RunRecord run_from_value(const Value& value);
Value to_value(const CheckpointRecord& checkpoint);
CheckpointRecord checkpoint_from_value(const Value& value);

// Of a store's marks, and in the records of the index. `later_fact_from` is the inverse, and
// Error(corrupt) for a kind that is not known or a metric that is no double.
Value::Map later_fact_payload(const LaterFact& fact);
LaterFact later_fact_from(const Value& payload);

// Payloads of journal records.
Value run_created_payload(const RunRecord& run);
Value attempt_payload(const Attempt& attempt);
Value status_payload(RunStatus status, std::int64_t time_ns = 0);
// `diff`: text or bytes.
Value::Map source_diff_payload(std::uint32_t attempt, const Value& diff);
Value repair_payload(const JournalRepair& repair);
// The inverses; Error(corrupt) for a key of the wrong type or an unknown status. Unknown keys are
// skipped. A run_created payload knows neither id, directory, status nor attempts.
RunRecord run_from_created(const Value& payload);
Attempt attempt_from_payload(const Value& payload);
RunStatus status_from_payload(const Value& payload);
// When a metrics or status record was written; 0 for one that does not say.
std::int64_t time_from_payload(const Value& payload);
JournalRepair repair_from_payload(const Value& payload);

}  // namespace ckp

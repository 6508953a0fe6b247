#include "runs/later_facts.h"

namespace ckp {
namespace {

using FactsOf = std::map<Uuid, std::vector<LaterFact>>;

template <class Record>
void apply_all(const FactsOf& facts, Record& record) {
  const auto own = facts.find(record.id);
  if (own == facts.end()) return;
  for (const LaterFact& fact : own->second) apply(fact, record);
}

std::size_t count_of(const FactsOf& facts) {
  std::size_t count = 0;
  for (const auto& [id, own] : facts) count += own.size();
  return count;
}

}  // namespace

std::string_view to_string(LaterFact::Kind kind) {
  switch (kind) {
    case LaterFact::Kind::tag:
      return "tag";
    case LaterFact::Kind::tag_removed:
      return "tag_removed";
    case LaterFact::Kind::metric:
      return "metric";
    case LaterFact::Kind::note:
      return "note";
  }
  return "unknown";
}

void apply(const LaterFact& fact, CheckpointRecord& checkpoint) {
  switch (fact.kind) {
    case LaterFact::Kind::tag:
      checkpoint.tags.insert_or_assign(fact.name, fact.value);
      break;
    case LaterFact::Kind::tag_removed:
      checkpoint.tags.erase(fact.name);
      break;
    case LaterFact::Kind::metric:
      checkpoint.metrics.insert_or_assign(fact.name, fact.value.as_double());
      break;
    case LaterFact::Kind::note:
      break;
  }
  checkpoint.later.push_back(fact);
}

void apply(const LaterFact& fact, RunRecord& run) { run.later.push_back(fact); }

void LaterFacts::apply_to(CheckpointRecord& checkpoint) const {
  apply_all(checkpoints, checkpoint);
}
void LaterFacts::apply_to(RunRecord& run) const { apply_all(runs, run); }

bool LaterFacts::are_in(const CheckpointRecord& checkpoint) const {
  const auto own = checkpoints.find(checkpoint.id);
  return own == checkpoints.end() ? checkpoint.later.empty() : checkpoint.later == own->second;
}

std::size_t LaterFacts::count() const { return count_of(checkpoints) + count_of(runs); }

}  // namespace ckp

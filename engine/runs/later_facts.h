// Later facts, as a store's marks have them, and what they make of a record.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "ckp/records.h"

namespace ckp {

// A record as it is from this fact on. A run takes notes only.
void apply(const LaterFact& fact, CheckpointRecord& checkpoint);
void apply(const LaterFact& fact, RunRecord& run);

// All of a store, by what they speak of; oldest first.
struct LaterFacts {
  std::map<Uuid, std::vector<LaterFact>> checkpoints = {}, runs = {};

  // To a record that has none of them yet.
  void apply_to(CheckpointRecord& checkpoint) const;
  void apply_to(RunRecord& run) const;
  // Whether a record has these and no others.
  bool are_in(const CheckpointRecord& checkpoint) const;
  std::size_t count() const;
};

}  // namespace ckp

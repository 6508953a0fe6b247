// What people and programs say about a checkpoint or a run after it was saved.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ckp/value.h"

namespace ckp {

// One of them. Nothing is ever changed or removed: of two that speak of the same tag or metric the
// later one counts.
struct LaterFact {
  enum class Kind {
    tag,          // has `value` from now on
    tag_removed,  // also one that was saved with the checkpoint
    metric,       // measured later, or again: `value` is a double, bit exact
    note,         // `value` is the text
  };
  Kind kind = Kind::note;
  std::string name = {};  // of the tag or metric
  Value value = {};
  std::int64_t time_ns = 0;  // UTC, by the clock of whoever said it
  std::string who = {};      // "user@host"
  friend bool operator==(const LaterFact&, const LaterFact&) = default;
};
std::string_view to_string(LaterFact::Kind kind);

}  // namespace ckp

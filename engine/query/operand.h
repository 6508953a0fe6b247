// What a key stands for in one record: a view, without copies.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

#include "ckp/filter.h"

namespace ckp {

struct Operand {
  enum class Kind {
    missing,
    undecided,  // hangs on checkpoints that have not been read
    integer,
    number,
    text,
    truth,
    time,   // nanoseconds in `integer`
    other,  // null excepted: bytes, a list, a map
  };
  Kind kind = Kind::missing;
  std::int64_t integer = 0;
  double number = 0;
  bool truth = false;
  std::string_view text = {};
  const Value* other = nullptr;

  static Operand of_integer(std::int64_t value);
  static Operand of_size(std::uint64_t value) {
    return of_integer(static_cast<std::int64_t>(value));
  }
  static Operand of_number(double value);
  static Operand of_text(std::string_view value);
  static Operand of_truth(bool value);
  static Operand of_time(std::int64_t ns);
  static Operand of_value(const Value& value);
  static Operand undecided();

  bool is_nan() const { return kind == Kind::number && number != number; }
};

// What is asked about.
struct Subject {
  const RunRecord& run;
  Scope scope = Scope::runs;
  const RunHistory* history = nullptr;           // null: the checkpoints have not been read
  const CheckpointRecord* checkpoint = nullptr;  // of a run the newest; null when it has none
};
Subject subject_of(const RunHistory& run);
Subject subject_of(const RunHistory& run, const CheckpointRecord& checkpoint);

// What is recorded of the attempt that is asked about: of a run the newest, of a checkpoint the one
// that saved it. Nothing when that hangs on a checkpoint that is not known.
using RecordedIn = const Value::Map& (RunRecord::*)(std::uint32_t attempt) const;
const Value::Map* recorded_for(const Subject& subject, RecordedIn recorded);

// Where the text of an operand lies that no record holds as text.
using Scratch = std::array<char, 40>;

Operand operand_of(const Key& key, const Subject& subject, Scratch& scratch);

// The text as a number when it is one from its first to its last byte.
Operand number_in(std::string_view text);

// `unordered` for what cannot be compared. NaN equals NaN.
std::partial_ordering compare(const Operand& a, const Operand& b);

}  // namespace ckp

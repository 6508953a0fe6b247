#include "query/operand.h"

#include <charconv>

#include "query/attributes.h"
#include "query/lexer.h"

namespace ckp {
namespace {

using Kind = Operand::Kind;

bool is_number_kind(Kind kind) { return kind == Kind::integer || kind == Kind::number; }

// The value under a name, or under its parts: maps are entered at each '.' and '/'.
const Value* find_in(const Value::Map& values, std::string_view name) {
  if (const auto found = values.find(name); found != values.end()) return &found->second;
  for (std::size_t at = name.find_first_of("./"); at != std::string_view::npos;
       at = name.find_first_of("./", at + 1)) {
    const auto found = values.find(name.substr(0, at));
    if (found == values.end()) continue;
    const Value::Map* const inner = found->second.get_if<Value::Map>();
    if (inner == nullptr) continue;
    if (const Value* value = find_in(*inner, name.substr(at + 1))) return value;
  }
  return nullptr;
}

Operand value_in(const Value::Map& values, std::string_view name) {
  const Value* const found = find_in(values, name);
  return found == nullptr ? Operand{} : Operand::of_value(*found);
}

Operand recorded_value(const Key& key, const Subject& subject, RecordedIn recorded) {
  const Value::Map* const values = recorded_for(subject, recorded);
  return values == nullptr ? Operand::undecided() : value_in(*values, key.name);
}

Operand tag_of(const Key& key, const Subject& subject) {
  if (subject.scope == Scope::checkpoints) {
    if (subject.checkpoint == nullptr) return Operand::undecided();
    const Operand own = value_in(subject.checkpoint->tags, key.name);
    if (own.kind != Kind::missing) return own;
  }
  return value_in(subject.run.tags, key.name);
}

Operand metric_of(const Key& key, const Subject& subject) {
  if (subject.history == nullptr) return Operand::undecided();
  if (!key.pick && subject.scope == Scope::checkpoints) {
    const auto found = subject.checkpoint->metrics.find(key.name);
    if (found == subject.checkpoint->metrics.end()) return {};
    return Operand::of_number(found->second);
  }
  const auto value = subject.history->metric(key.name, key.pick.value_or(RunHistory::Pick::last));
  return value ? Operand::of_number(*value) : Operand{};
}

Operand attribute_of(const Key& key, const Subject& subject, Scratch& scratch) {
  const Attribute& attribute = *key.attribute;
  if (attribute.from != Attribute::From::run) {
    if (subject.history == nullptr) return Operand::undecided();
    if (attribute.from == Attribute::From::checkpoint && subject.checkpoint == nullptr) return {};
  }
  return attribute.get(subject, scratch);
}

std::partial_ordering compare_numbers(const Operand& a, const Operand& b) {
  if (a.kind == Kind::integer && b.kind == Kind::integer) return a.integer <=> b.integer;
  if (a.is_nan() && b.is_nan()) return std::partial_ordering::equivalent;
  return a.number <=> b.number;
}

Operand truth_in(std::string_view text) {
  if (is_word(text, "true")) return Operand::of_truth(true);
  if (is_word(text, "false")) return Operand::of_truth(false);
  return {};
}

// `text` read as what the other side is.
Operand read_as(Kind kind, const Operand& text) {
  if (is_number_kind(kind)) return number_in(text.text);
  if (kind == Kind::truth) return truth_in(text.text);
  return {};
}

}  // namespace

Operand Operand::of_integer(std::int64_t value) {
  Operand operand{Kind::integer};
  operand.integer = value;
  operand.number = static_cast<double>(value);
  return operand;
}

Operand Operand::of_number(double value) {
  Operand operand{Kind::number};
  operand.number = value;
  return operand;
}

Operand Operand::of_text(std::string_view value) {
  Operand operand{Kind::text};
  operand.text = value;
  return operand;
}

Operand Operand::of_truth(bool value) {
  Operand operand{Kind::truth};
  operand.truth = value;
  return operand;
}

Operand Operand::of_time(std::int64_t ns) {
  Operand operand{Kind::time};
  operand.integer = ns;
  return operand;
}

Operand Operand::undecided() { return Operand{Kind::undecided}; }

Operand Operand::of_value(const Value& value) {
  if (value.is_null()) return {};
  if (const bool* truth = value.get_if<bool>()) return of_truth(*truth);
  if (const std::int64_t* integer = value.get_if<std::int64_t>()) return of_integer(*integer);
  if (const double* number = value.get_if<double>()) return of_number(*number);
  if (const std::string* text = value.get_if<std::string>()) return of_text(*text);
  Operand operand{Kind::other};
  operand.other = &value;
  return operand;
}

Subject subject_of(const RunHistory& run) { return {run.run(), Scope::runs, &run, run.latest()}; }

Subject subject_of(const RunHistory& run, const CheckpointRecord& checkpoint) {
  return {run.run(), Scope::checkpoints, &run, &checkpoint};
}

const Value::Map* recorded_for(const Subject& subject, RecordedIn recorded) {
  const RunRecord& run = subject.run;
  if (subject.scope == Scope::runs) return &(run.*recorded)(newest_attempt_number);
  if (subject.checkpoint != nullptr) return &(run.*recorded)(subject.checkpoint->attempt);
  // Decided all the same where no attempt has said anything of its own.
  const Value::Map* const first = &(run.*recorded)(0);
  return first == &(run.*recorded)(newest_attempt_number) ? first : nullptr;
}

Operand operand_of(const Key& key, const Subject& subject, Scratch& scratch) {
  switch (key.kind) {
    case Key::Kind::parameter:
      return recorded_value(key, subject, &RunRecord::parameters_in);
    case Key::Kind::data:
      return recorded_value(key, subject, &RunRecord::data_in);
    case Key::Kind::environment:
      return recorded_value(key, subject, &RunRecord::environment_in);
    case Key::Kind::tag:
      return tag_of(key, subject);
    case Key::Kind::metric:
      return metric_of(key, subject);
    case Key::Kind::attribute:
      return attribute_of(key, subject, scratch);
  }
  return {};
}

Operand number_in(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const char* const end = text.data() + text.size();
  std::int64_t integer = 0;
  const auto whole = std::from_chars(text.data(), end, integer);
  if (whole.ec == std::errc() && whole.ptr == end) return Operand::of_integer(integer);
  double number = 0;
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec == std::errc() && read.ptr == end) return Operand::of_number(number);
  return {};
}

std::partial_ordering compare(const Operand& a, const Operand& b) {
  if (is_number_kind(a.kind) && is_number_kind(b.kind)) return compare_numbers(a, b);
  if (a.kind == b.kind) {
    if (a.kind == Kind::text) return a.text <=> b.text;
    if (a.kind == Kind::truth) return a.truth <=> b.truth;
    if (a.kind == Kind::time) return a.integer <=> b.integer;
    return std::partial_ordering::unordered;
  }
  if (a.kind == Kind::text) {
    const Operand read = read_as(b.kind, a);
    if (read.kind != Kind::missing) return compare(read, b);
  } else if (b.kind == Kind::text) {
    const Operand read = read_as(a.kind, b);
    if (read.kind != Kind::missing) return compare(a, read);
  }
  return std::partial_ordering::unordered;
}

}  // namespace ckp

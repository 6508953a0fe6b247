#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "query/expression.h"

namespace ckp {
namespace {

using Kind = Operand::Kind;
using Operator = Comparison::Operator;

Truth as_truth(bool value) { return value ? Truth::yes : Truth::no; }

Truth negation_of(Truth truth) {
  if (truth == Truth::unknown) return truth;
  return truth == Truth::yes ? Truth::no : Truth::yes;
}

// As text is matched: numbers and booleans by how they are printed.
bool matches_pattern(const Operand& operand, std::string_view pattern, bool ignore_case) {
  if (operand.kind == Kind::text) return like(operand.text, pattern, ignore_case);
  if (operand.kind == Kind::truth) {
    return like(operand.truth ? "true" : "false", pattern, ignore_case);
  }
  std::array<char, 64> printed;
  char* end = printed.data();
  if (operand.kind == Kind::integer) end = fmt::format_to(end, "{}", operand.integer);
  if (operand.kind == Kind::number) end = fmt::format_to(end, "{}", operand.number);
  if (end == printed.data()) return false;
  return like({printed.data(), static_cast<std::size_t>(end - printed.data())}, pattern,
              ignore_case);
}

bool comparison_holds(const Comparison& comparison, const Operand& operand) {
  const auto equals = [&](const Literal& literal) {
    return compare(operand, literal.operand()) == std::partial_ordering::equivalent;
  };
  const auto ordering = [&] { return compare(operand, comparison.literals.front().operand()); };
  switch (comparison.op) {
    case Operator::equal:
    case Operator::in:
      return std::any_of(comparison.literals.begin(), comparison.literals.end(), equals);
    case Operator::less:
      return ordering() < 0;
    case Operator::less_equal:
      return ordering() <= 0;
    case Operator::greater:
      return ordering() > 0;
    case Operator::greater_equal:
      return ordering() >= 0;
    case Operator::like:
    case Operator::ilike:
      return matches_pattern(operand, comparison.literals.front().text,
                             comparison.op == Operator::ilike);
    case Operator::is_null:
      return operand.kind == Kind::missing;
  }
  return false;
}

Truth evaluate_comparison(const Comparison& comparison, const Subject& subject) {
  Scratch scratch;
  const Operand operand = operand_of(comparison.key, subject, scratch);
  if (operand.kind == Kind::undecided) return Truth::unknown;
  if (operand.kind == Kind::missing && comparison.op != Operator::is_null) return Truth::unknown;
  return as_truth(comparison_holds(comparison, operand) != comparison.negated);
}

// Until one child is `decisive`; else `unknown` when any is, else the other.
Truth evaluate_chain(const std::vector<Expression>& children, const Subject& subject,
                     Truth decisive) {
  Truth result = negation_of(decisive);
  for (const Expression& child : children) {
    const Truth truth = evaluate(child, subject);
    if (truth == decisive) return truth;
    if (truth == Truth::unknown) result = truth;
  }
  return result;
}

// The length of the character that begins here.
std::size_t character_at(std::string_view text, std::size_t at) {
  std::size_t length = 1;
  while (at + length < text.size() &&
         (static_cast<unsigned char>(text[at + length]) & 0xc0) == 0x80) {
    ++length;
  }
  return length;
}

void collect_keys(const Expression& expression, std::vector<Key>& keys) {
  if (expression.kind == Expression::Kind::comparison) keys.push_back(expression.comparison.key);
  for (const Expression& child : expression.children) collect_keys(child, keys);
}

char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

Truth evaluate(const Expression& expression, const Subject& subject) {
  switch (expression.kind) {
    case Expression::Kind::all_of:
      return evaluate_chain(expression.children, subject, Truth::no);
    case Expression::Kind::any_of:
      return evaluate_chain(expression.children, subject, Truth::yes);
    case Expression::Kind::negation:
      return negation_of(evaluate(expression.children.front(), subject));
    case Expression::Kind::comparison:
      return evaluate_comparison(expression.comparison, subject);
  }
  return Truth::unknown;
}

bool like(std::string_view text, std::string_view pattern, bool ignore_case) {
  std::size_t t = 0, p = 0;
  // Where to go on when it fails: the newest %, which takes one more byte each time.
  std::size_t star = std::string_view::npos, taken = 0;
  const auto same = [&](char a, char b) {
    return ignore_case ? ascii_lower(a) == ascii_lower(b) : a == b;
  };
  while (true) {
    if (p < pattern.size() && pattern[p] == '%') {
      star = ++p;
      taken = t;
      continue;
    }
    if (t == text.size()) return p == pattern.size();
    if (p < pattern.size() && pattern[p] == '_') {
      t += character_at(text, t);
      ++p;
      continue;
    }
    const std::size_t literal = p + 1 < pattern.size() && pattern[p] == '\\' ? p + 1 : p;
    if (literal < pattern.size() && same(text[t], pattern[literal])) {
      ++t;
      p = literal + 1;
    } else if (star != std::string_view::npos) {
      p = star;
      t = ++taken;
    } else {
      return false;
    }
  }
}

bool Filter::matches(const RunHistory& run) const {
  return root_ == nullptr || evaluate(*root_, subject_of(run)) == Truth::yes;
}

bool Filter::matches(const RunHistory& run, const CheckpointRecord& checkpoint) const {
  return root_ == nullptr || evaluate(*root_, subject_of(run, checkpoint)) == Truth::yes;
}

bool Filter::excludes(const RunRecord& run, Scope scope) const {
  // Comparisons that hang on the checkpoints are unknown here. `no` is no, whatever they turn out
  // to be.
  return root_ != nullptr && evaluate(*root_, Subject{run, scope}) == Truth::no;
}

std::vector<Key> Filter::keys() const {
  std::vector<Key> keys;
  if (root_ != nullptr) collect_keys(*root_, keys);
  return keys;
}

}  // namespace ckp

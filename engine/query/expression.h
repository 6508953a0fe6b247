// A filter in parsed form.
#pragma once

#include <string>
#include <vector>

#include "query/operand.h"

namespace ckp {

// A value that was written in the expression.
struct Literal {
  Operand value;     // of text: see operand()
  std::string text;  // owns what `value` shows
  Operand operand() const {
    Operand shown = value;
    if (shown.kind == Operand::Kind::text) shown.text = text;
    return shown;
  }
};

struct Comparison {
  enum class Operator { equal, less, less_equal, greater, greater_equal, in, like, ilike, is_null };
  Key key;
  Operator op = Operator::equal;
  bool negated = false;  // !=, not in, not like, is not null
  std::vector<Literal> literals;
};

// Chains of `and` and of `or` are one node each: the members of the outermost `and` are what an
// index could serve one by one.
struct Expression {
  enum class Kind { all_of, any_of, negation, comparison };
  Kind kind = Kind::comparison;
  std::vector<Expression> children;
  Comparison comparison;
};

// SQL's three values.
enum class Truth { no, unknown, yes };
Truth evaluate(const Expression& expression, const Subject& subject);

// SQL's LIKE: % any text, _ one character of UTF-8, \ takes the next one as it is.
bool like(std::string_view text, std::string_view pattern, bool ignore_case);

}  // namespace ckp

// Filter::parse: recursive descent, one function for each level of precedence.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ckp/error.h"
#include "ckp/retention.h"
#include "query/attributes.h"
#include "query/date.h"
#include "query/expression.h"
#include "query/key_parser.h"

namespace ckp {
namespace {

using Operator = Comparison::Operator;
using Type = Attribute::Type;

// Deeper nesting would be somebody's attack on the stack.
constexpr int deepest = 100;

constexpr std::string_view operators = "an operator (= != < <= > >= in like ilike is)";

bool is_order(Operator op) {
  return op == Operator::less || op == Operator::less_equal || op == Operator::greater ||
         op == Operator::greater_equal;
}

// What the values beside a key must be; nothing: they may be anything.
std::optional<Type> type_of(const Key& key) {
  if (key.kind == Key::Kind::metric) return Type::number;
  if (key.kind == Key::Kind::attribute) return key.attribute->type;
  return std::nullopt;
}

class FilterParser {
 public:
  FilterParser(std::string_view text, std::int64_t now_ns) : lexer_(text), now_ns_(now_ns) {}

  Expression parse() {
    Expression all = take_any_of();
    if (lexer_.token().kind != Token::Kind::end) lexer_.fail_expected("and, or, or the end");
    return all;
  }

 private:
  // Counts how deep the parser is.
  class Level {
   public:
    explicit Level(FilterParser& parser) : parser_(parser) {
      if (++parser_.depth_ > deepest) {
        parser_.lexer_.fail(fmt::format("nested more than {} deep", deepest));
      }
    }
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    FilterParser& parser_;
  };

  Expression take_any_of() {
    return take_chain(Expression::Kind::any_of, "or", [&] { return take_all_of(); });
  }

  Expression take_all_of() {
    return take_chain(Expression::Kind::all_of, "and", [&] { return take_negation(); });
  }

  template <class Take>
  Expression take_chain(Expression::Kind kind, std::string_view word, Take take) {
    Expression first = take();
    if (!lexer_.is_word(word)) return first;
    Expression chain{kind, {}, {}};
    chain.children.push_back(std::move(first));
    while (lexer_.take_word(word)) chain.children.push_back(take());
    return chain;
  }

  Expression take_negation() {
    const Level level(*this);
    if (lexer_.take_word("not")) {
      Expression negation{Expression::Kind::negation, {}, {}};
      negation.children.push_back(take_negation());
      return negation;
    }
    if (!lexer_.take_symbol("(")) return take_comparison();
    Expression inner = take_any_of();
    if (!lexer_.take_symbol(")")) lexer_.fail_expected("and, or, or ')'");
    return inner;
  }

  Expression take_comparison() {
    Expression expression;
    Comparison& comparison = expression.comparison;
    comparison.key = take_key(lexer_);
    const std::size_t at = lexer_.token().begin;
    take_operator(comparison);
    check_operator(comparison, at);
    if (comparison.op == Operator::in) {
      take_list(comparison);
    } else if (comparison.op == Operator::like || comparison.op == Operator::ilike) {
      take_pattern(comparison);
    } else if (comparison.op != Operator::is_null) {
      comparison.literals.push_back(take_literal(comparison));
    }
    return expression;
  }

  void take_operator(Comparison& comparison) {
    struct Symbol {
      std::string_view text;
      Operator op;
      bool negated = false;
    };
    constexpr Symbol symbols[] = {{"=", Operator::equal},         {"==", Operator::equal},
                                  {"!=", Operator::equal, true},  {"<", Operator::less},
                                  {"<=", Operator::less_equal},   {">", Operator::greater},
                                  {">=", Operator::greater_equal}};
    for (const Symbol& one : symbols) {
      if (!lexer_.take_symbol(one.text)) continue;
      comparison.op = one.op;
      comparison.negated = one.negated;
      return;
    }
    if (lexer_.take_word("is")) {
      comparison.op = Operator::is_null;
      comparison.negated = lexer_.take_word("not");
      if (!lexer_.take_word("null")) {
        lexer_.fail_expected(comparison.negated ? "null" : "null or not null");
      }
      return;
    }
    comparison.negated = lexer_.take_word("not");
    if (lexer_.take_word("in")) {
      comparison.op = Operator::in;
    } else if (lexer_.take_word("like")) {
      comparison.op = Operator::like;
    } else if (lexer_.take_word("ilike")) {
      comparison.op = Operator::ilike;
    } else {
      lexer_.fail_expected(comparison.negated ? "in, like or ilike" : operators);
    }
  }

  // What makes no sense for an attribute or a metric.
  void check_operator(const Comparison& comparison, std::size_t at) const {
    const auto type = type_of(comparison.key);
    if (!type || comparison.op == Operator::is_null) return;
    const auto refuse = [&](std::string_view what, std::string_view takes) {
      fail_at(lexer_.expression(), at,
              fmt::format("{} is {}, which takes {}", comparison.key.text, what, takes));
    };
    const bool is_like = comparison.op == Operator::like || comparison.op == Operator::ilike;
    if (*type == Type::time && !is_order(comparison.op)) {
      refuse("a time", "< <= > >=; a day is >= '2026-10-03' and < '2026-10-04'");
    }
    if (*type == Type::number && is_like) refuse("a number", "= != < <= > >= in");
    if (*type == Type::truth && (is_like || is_order(comparison.op))) {
      refuse("a boolean", "= and !=");
    }
    if (*type == Type::status && is_order(comparison.op)) refuse("a status", "= != in like");
  }

  void take_list(Comparison& comparison) {
    if (!lexer_.take_symbol("(")) lexer_.fail_expected("'(' and the values");
    do {
      comparison.literals.push_back(take_literal(comparison));
    } while (lexer_.take_symbol(","));
    if (!lexer_.take_symbol(")")) lexer_.fail_expected("',' or ')'");
  }

  void take_pattern(Comparison& comparison) {
    if (lexer_.token().kind != Token::Kind::text) {
      lexer_.fail_expected("a pattern in quotes, as in 'cnn-%'");
    }
    Literal pattern;
    pattern.text = lexer_.token().text;
    comparison.literals.push_back(std::move(pattern));
    lexer_.advance();
  }

  Literal take_literal(const Comparison& comparison) {
    const auto type = type_of(comparison.key);
    Literal literal = type == Type::time ? read_time(comparison.key) : read_plain();
    if (type) check_literal(comparison.key, *type, literal);
    lexer_.advance();
    return literal;
  }

  Literal read_time(const Key& key) const {
    const Token& token = lexer_.token();
    Literal literal;
    if (token.kind == Token::Kind::now) {
      literal.value = Operand::of_time(time_from_now(token.raw.substr(3)));
      return literal;
    }
    if (token.kind == Token::Kind::text) {
      if (const auto ns = parse_date_ns(token.text)) {
        literal.value = Operand::of_time(*ns);
        return literal;
      }
    }
    lexer_.fail_expected(
        fmt::format("a time beside {}: '2026-10-03', '2026-10-03T14:00', now or now-7d", key.text));
  }

  std::int64_t time_from_now(std::string_view shift) const {
    std::string text;
    for (const char c : shift) {
      if (c != ' ' && c != '\t' && c != '\n' && c != '\r') text += c;
    }
    if (text.empty()) return now_ns_;
    std::int64_t ns = 0;
    try {
      ns = parse_duration_ns(std::string_view(text).substr(1));
    } catch (const Error& error) {
      lexer_.fail(error.what());
    }
    // Saturates: a century more or less is before or after everything.
    const std::int64_t wanted = text.front() == '-' ? -ns : ns;
    std::int64_t sum = 0;
    if (__builtin_add_overflow(now_ns_, wanted, &sum)) return wanted < 0 ? INT64_MIN : INT64_MAX;
    return sum;
  }

  Literal read_plain() const {
    const Token& token = lexer_.token();
    Literal literal;
    switch (token.kind) {
      case Token::Kind::text:
        literal.value = Operand::of_text({});
        literal.text = token.text;
        return literal;
      case Token::Kind::number:
        literal.value = number_in(token.raw);
        if (literal.value.kind == Operand::Kind::missing) {
          lexer_.fail(fmt::format("{} is no number; dates and other text go in quotes: '{}'",
                                  token.raw, token.raw));
        }
        return literal;
      case Token::Kind::name:
        if (read_word(literal)) return literal;
        if (!token.quoted) {
          lexer_.fail(fmt::format(
              "expected a value (a number, 'text', true or false), found {}; text goes in quotes: "
              "'{}'",
              token.raw, token.raw));
        }
        break;
      case Token::Kind::now:
        lexer_.fail("now is for times only: started, ended and time");
      case Token::Kind::end:
      case Token::Kind::symbol:
        break;
    }
    lexer_.fail_expected("a value (a number, 'text', true or false)");
  }

  bool read_word(Literal& literal) const {
    if (lexer_.is_word("true") || lexer_.is_word("false")) {
      literal.value = Operand::of_truth(lexer_.is_word("true"));
      return true;
    }
    if (lexer_.is_word("nan") || lexer_.is_word("inf")) {
      literal.value = number_in(lexer_.token().raw);
      return true;
    }
    return false;
  }

  void check_literal(const Key& key, Type type, const Literal& literal) const {
    const Operand::Kind kind = literal.value.kind;
    const bool is_number = kind == Operand::Kind::integer || kind == Operand::Kind::number;
    if (type == Type::number && !is_number) {
      lexer_.fail_expected(fmt::format("a number beside {}", key.text));
    }
    if (type == Type::truth && kind != Operand::Kind::truth) {
      lexer_.fail_expected(fmt::format("true or false beside {}", key.text));
    }
    if ((type == Type::text || type == Type::status) && kind != Operand::Kind::text) {
      lexer_.fail_expected(fmt::format("text in quotes beside {}", key.text));
    }
    if (type == Type::status) check_status(literal.text);
  }

  void check_status(const std::string& text) const {
    std::vector<std::string_view> names;
    for (const RunStatus status : {RunStatus::in_progress, RunStatus::completed, RunStatus::failed,
                                   RunStatus::interrupted}) {
      if (text == to_string(status)) return;
      names.push_back(to_string(status));
    }
    lexer_.fail(
        fmt::format("no run has the status '{}'; there are {}", text, fmt::join(names, ", ")));
  }

  Lexer lexer_;
  std::int64_t now_ns_;
  int depth_ = 0;
};

}  // namespace

Filter Filter::parse(std::string_view text, std::int64_t now_ns) {
  return Filter(std::make_shared<const Expression>(FilterParser(text, now_ns).parse()));
}

}  // namespace ckp

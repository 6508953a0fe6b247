#include "query/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ckp/error.h"

namespace ckp {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_quote(char c) { return c == '\'' || c == '"' || c == '`'; }

bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool continues_name(char c) {
  return begins_name(c) || is_digit(c) || c == '.' || c == '-' || c == '/' || c == '@';
}

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

std::string on_one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

}  // namespace

bool is_word(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

void fail_at(std::string_view expression, std::size_t at, const std::string& message) {
  const std::string line = on_one_line(expression);
  const std::string_view before = std::string_view(line).substr(0, at);
  const auto column = static_cast<std::size_t>(
      std::count_if(before.begin(), before.end(), [](char c) { return !is_continuation(c); }));
  throw Error(ErrorCode::invalid_argument, fmt::format("column {}: {}\n  {}\n  {}^", column + 1,
                                                       message, line, std::string(column, ' ')));
}

void Lexer::advance() {
  while (at_ < expression_.size() && is_blank(expression_[at_])) ++at_;
  token_ = Token{};
  token_.begin = at_;
  if (at_ == expression_.size()) return finish(Token::Kind::end);
  const char c = expression_[at_];
  const char next = at_ + 1 < expression_.size() ? expression_[at_ + 1] : '\0';
  const char after = at_ + 2 < expression_.size() ? expression_[at_ + 2] : '\0';
  if (read_now()) return;
  if (begins_name(c)) return read_name();
  if (is_digit(c) || (c == '.' && is_digit(next))) return read_number();
  if (c == '-' || c == '+') {
    if (is_digit(next) || (next == '.' && is_digit(after)) || begins_name(next)) {
      return read_number();
    }
    fail_at(expression_, at_, fmt::format("a number must follow '{}'", c));
  }
  if (is_quote(c)) {
    token_.quoted = true;
    token_.text = read_quoted();
    return finish(c == '`' ? Token::Kind::name : Token::Kind::text);
  }
  for (const std::string_view symbol : {"==", "!=", "<=", ">=", "=", "<", ">", "(", ")", ","}) {
    if (!expression_.substr(at_).starts_with(symbol)) continue;
    at_ += symbol.size();
    return finish(Token::Kind::symbol);
  }
  std::size_t length = 1;
  while (at_ + length < expression_.size() && is_continuation(expression_[at_ + length])) ++length;
  fail_at(expression_, at_,
          fmt::format("'{}' has no meaning here; names with such characters go between backticks: "
                      "metrics.`a b`",
                      on_one_line(expression_.substr(at_, length))));
}

void Lexer::finish(Token::Kind kind) {
  token_.kind = kind;
  token_.end = at_;
  token_.raw = expression_.substr(token_.begin, at_ - token_.begin);
}

void Lexer::read_name() {
  while (at_ < expression_.size() && continues_name(expression_[at_])) ++at_;
  const bool joined = expression_[at_ - 1] == '.';
  if (joined && at_ < expression_.size() && (expression_[at_] == '"' || expression_[at_] == '`')) {
    token_.quoted = true;
    token_.prefix = expression_.substr(token_.begin, at_ - 1 - token_.begin);
    token_.text = read_quoted();
    const std::size_t suffix = at_;
    while (at_ < expression_.size() && continues_name(expression_[at_])) ++at_;
    token_.suffix = expression_.substr(suffix, at_ - suffix);
  }
  finish(Token::Kind::name);
}

void Lexer::read_number() {
  ++at_;
  while (at_ < expression_.size() &&
         (continues_name(expression_[at_]) || expression_[at_] == '+' || expression_[at_] == ':')) {
    ++at_;
  }
  finish(Token::Kind::number);
}

// "now" alone, or with a sign, digits and a unit behind it, blanks between them or not.
bool Lexer::read_now() {
  const auto at = [&](std::size_t i) { return i < expression_.size() ? expression_[i] : '\0'; };
  if (!ckp::is_word(expression_.substr(at_, 3), "now")) return false;
  std::size_t end = at_ + 3;
  std::size_t i = end;
  while (is_blank(at(i))) ++i;
  if (at(i) == '-' || at(i) == '+') {
    ++i;
    while (is_blank(at(i))) ++i;
    const std::size_t digits = i;
    while (is_digit(at(i))) ++i;
    if (i == digits || !begins_name(at(i)) || continues_name(at(i + 1))) {
      fail_at(expression_, digits, "expected a duration after now: 30m, 12h, 7d, 2w (or 90s)");
    }
    end = i + 1;
  } else if (continues_name(at(end))) {
    return false;
  }
  at_ = end;
  finish(Token::Kind::now);
  return true;
}

std::string Lexer::read_quoted() {
  const std::size_t begin = at_;
  const char quote = expression_[at_++];
  std::string text;
  while (at_ < expression_.size()) {
    const char c = expression_[at_++];
    if (c != quote) {
      text += c;
    } else if (at_ < expression_.size() && expression_[at_] == quote) {
      text += quote;
      ++at_;
    } else {
      return text;
    }
  }
  fail_at(expression_, begin, fmt::format("this {} is never closed", quote));
}

bool Lexer::is_symbol(std::string_view symbol) const {
  return token_.kind == Token::Kind::symbol && token_.raw == symbol;
}

bool Lexer::is_word(std::string_view word) const {
  return token_.kind == Token::Kind::name && !token_.quoted && ckp::is_word(token_.raw, word);
}

bool Lexer::take_symbol(std::string_view symbol) {
  if (!is_symbol(symbol)) return false;
  advance();
  return true;
}

bool Lexer::take_word(std::string_view word) {
  if (!is_word(word)) return false;
  advance();
  return true;
}

void Lexer::fail_expected(std::string_view expected) const {
  fail(fmt::format("expected {}, found {}", expected,
                   token_.kind == Token::Kind::end ? "the end" : on_one_line(token_.raw)));
}

void Lexer::fail(const std::string& message) const { fail_at(expression_, token_.begin, message); }

}  // namespace ckp

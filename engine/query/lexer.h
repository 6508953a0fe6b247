// The words of the query language, and the errors that point at them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ckp {

struct Token {
  enum class Kind {
    end,
    name,    // a word, or PREFIX."quoted".suffix
    text,    // a string
    number,  // digits and what belongs to them
    now,     // "now", "now-7d"
    symbol,  // = == != < <= > >= ( ) ,
  };
  Kind kind = Kind::end;
  std::size_t begin = 0, end = 0;  // in the expression
  std::string_view raw;            // as it stands there
  // Of a name with a quoted part, that part and what stands around it; of a string, its text.
  bool quoted = false;
  std::string prefix, text, suffix;
};

// "EXPECTED at column N", the expression on a line of its own, a caret under the place.
[[noreturn]] void fail_at(std::string_view expression, std::size_t at, const std::string& message);

class Lexer {
 public:
  explicit Lexer(std::string_view expression) : expression_(expression) { advance(); }

  const Token& token() const { return token_; }
  void advance();
  std::string_view expression() const { return expression_; }

  bool is_symbol(std::string_view symbol) const;
  // Words in any case.
  bool is_word(std::string_view word) const;
  bool take_symbol(std::string_view symbol);
  bool take_word(std::string_view word);
  // Of the token that comes next.
  [[noreturn]] void fail_expected(std::string_view expected) const;
  [[noreturn]] void fail(const std::string& message) const;

 private:
  void read_name();
  void read_number();
  bool read_now();
  // The text between two equal quotes, from the opening one; `at_` is then behind the closing one.
  std::string read_quoted();
  void finish(Token::Kind kind);

  std::string_view expression_;
  std::size_t at_ = 0;
  Token token_;
};

// Equal but for the case of ASCII letters; `lower` is lower case.
bool is_word(std::string_view text, std::string_view lower);

}  // namespace ckp

#include "query/key_parser.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ckp/closest_name.h"
#include "query/attributes.h"

namespace ckp {
namespace {

constexpr std::string_view key_forms =
    "params.NAME, tags.NAME, metrics.NAME, data.NAME, env.NAME or attributes.NAME";

constexpr std::string_view reserved_words[] = {"and",   "or", "not",  "in",   "like",
                                               "ilike", "is", "null", "true", "false"};

struct KeyPrefix {
  std::string_view word;
  Key::Kind kind;
};
constexpr KeyPrefix prefixes[] = {{"params", Key::Kind::parameter},
                                  {"param", Key::Kind::parameter},
                                  {"parameters", Key::Kind::parameter},
                                  {"parameter", Key::Kind::parameter},
                                  {"tags", Key::Kind::tag},
                                  {"tag", Key::Kind::tag},
                                  {"metrics", Key::Kind::metric},
                                  {"metric", Key::Kind::metric},
                                  {"data", Key::Kind::data},
                                  {"dataset", Key::Kind::data},
                                  {"env", Key::Kind::environment},
                                  {"environment", Key::Kind::environment},
                                  {"attributes", Key::Kind::attribute},
                                  {"attribute", Key::Kind::attribute},
                                  {"attr", Key::Kind::attribute},
                                  {"run", Key::Kind::attribute}};

// Where the parts of a key's name stand.
struct KeyParts {
  std::string_view prefix, name;
  std::size_t name_at = 0;  // in the expression
};

std::optional<Key::Kind> kind_of_key(std::string_view prefix) {
  for (const KeyPrefix& one : prefixes) {
    if (is_word(prefix, one.word)) return one.kind;
  }
  return std::nullopt;
}

std::optional<RunHistory::Pick> pick_of(std::string_view suffix) {
  if (is_word(suffix, "min")) return RunHistory::Pick::min;
  if (is_word(suffix, "max")) return RunHistory::Pick::max;
  if (is_word(suffix, "last")) return RunHistory::Pick::last;
  return std::nullopt;
}

// At most three, the closest first: those that take fewer changes than half of the name.
std::vector<std::string_view> closest_attributes(std::string_view wanted) {
  std::vector<std::pair<std::size_t, std::string_view>> near;
  const std::size_t limit = std::max<std::size_t>(3, wanted.size() / 2 + 1);
  for (const Attribute& one : all_attributes()) {
    const std::size_t distance = edit_distance(wanted, one.name, limit);
    if (distance < limit) near.emplace_back(distance, one.name);
  }
  std::stable_sort(near.begin(), near.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string_view> names;
  for (const auto& one : near) {
    if (names.size() < 3) names.push_back(one.second);
  }
  return names;
}

const Attribute& attribute_named(const Lexer& lexer, const KeyParts& parts) {
  std::vector<std::string_view> names;
  for (const Attribute& one : all_attributes()) {
    if (is_word(parts.name, one.name)) return one;
    if (!one.alias.empty() && is_word(parts.name, one.alias)) return one;
    names.push_back(one.name);
  }
  const auto near = closest_attributes(parts.name);
  std::string hint = near.empty() ? fmt::format("there are {}", fmt::join(names, ", "))
                                  : fmt::format("did you mean {}?", fmt::join(near, " or "));
  if (parts.name_at == lexer.token().begin) {
    hint += fmt::format(" (a parameter is params.{0}, a metric metrics.{0})", parts.name);
  }
  fail_at(lexer.expression(), parts.name_at,
          fmt::format("no attribute '{}'; {}", parts.name, hint));
}

[[noreturn]] void fail_prefix(const Lexer& lexer, std::string_view prefix) {
  ClosestName closest(prefix);
  for (const KeyPrefix& one : prefixes) closest.offer(one.word);
  const std::string hint =
      closest.best().empty() ? "" : fmt::format("; did you mean {}.?", closest.best());
  lexer.fail(fmt::format("a key is {}, not '{}.'{}", key_forms, prefix, hint));
}

// PREFIX.NAME, or the name of an attribute alone.
KeyParts split_key(const Token& token) {
  if (token.quoted) {
    return {token.prefix, token.text, token.begin + token.prefix.size() + 1};
  }
  const std::size_t dot = token.raw.find('.');
  if (dot == std::string_view::npos) return {"attributes", token.raw, token.begin};
  return {token.raw.substr(0, dot), token.raw.substr(dot + 1), token.begin + dot + 1};
}

// ".min", ".max" or ".last" behind a metric.
void take_pick(const Lexer& lexer, const Token& token, const KeyParts& parts, Key& key) {
  if (token.quoted) {
    if (token.suffix.empty()) return;
    if (key.kind == Key::Kind::metric && token.suffix.starts_with('.')) {
      key.pick = pick_of(std::string_view(token.suffix).substr(1));
    }
    if (key.pick) return;
    fail_at(lexer.expression(), token.end - token.suffix.size(),
            key.kind == Key::Kind::metric ? "expected .min, .max, .last or an operator"
                                          : "expected an operator");
  }
  const std::size_t dot = parts.name.rfind('.');
  if (key.kind != Key::Kind::metric || dot == std::string_view::npos || dot == 0) return;
  key.pick = pick_of(parts.name.substr(dot + 1));
  if (key.pick) key.name = parts.name.substr(0, dot);
}

}  // namespace

Key take_key(Lexer& lexer) {
  const Token token = lexer.token();
  if (token.kind == Token::Kind::text) {
    lexer.fail(
        fmt::format("expected a key ({}), found text; a quoted name stands behind its "
                    "kind: metrics.\"a b\"",
                    key_forms));
  }
  const bool reserved =
      !token.quoted && std::any_of(std::begin(reserved_words), std::end(reserved_words),
                                   [&](std::string_view word) { return lexer.is_word(word); });
  if (token.kind != Token::Kind::name || reserved)
    lexer.fail_expected(fmt::format("a key ({})", key_forms));
  if (token.quoted && token.prefix.empty()) {
    lexer.fail(fmt::format("a key is {}; this name has no kind before it", key_forms));
  }
  const KeyParts parts = split_key(token);
  const auto kind = kind_of_key(parts.prefix);
  if (!kind) fail_prefix(lexer, parts.prefix);
  Key key;
  key.text = token.raw;
  key.kind = *kind;
  key.name = parts.name;
  if (parts.name.empty()) {
    fail_at(lexer.expression(), parts.name_at,
            fmt::format("a name must follow '{}.'", parts.prefix));
  }
  take_pick(lexer, token, parts, key);
  if (key.kind == Key::Kind::attribute) {
    key.attribute = &attribute_named(lexer, parts);
    key.name = key.attribute->name;
  }
  lexer.advance();
  return key;
}

Key Key::parse(std::string_view text) {
  Lexer lexer(text);
  Key key = take_key(lexer);
  if (lexer.token().kind != Token::Kind::end) lexer.fail_expected("the end of the key");
  return key;
}

std::vector<Key> Key::parse_list(std::string_view text) {
  Lexer lexer(text);
  std::vector<Key> keys{take_key(lexer)};
  while (lexer.take_symbol(",")) keys.push_back(take_key(lexer));
  if (lexer.token().kind != Token::Kind::end) lexer.fail_expected("a comma");
  return keys;
}

Order Order::parse(std::string_view text) {
  Order order;
  const std::size_t at = text.find_last_of(": ");
  if (at != std::string_view::npos) {
    const std::string_view word = text.substr(at + 1);
    const bool up = is_word(word, "asc"), down = is_word(word, "desc");
    const bool min = is_word(word, "min"), max = is_word(word, "max");
    if (up || down || min || max) {
      order.key = Key::parse(text.substr(0, at));
      order.descending = down || max;
      order.by_extreme = min || max;
      return order;
    }
  }
  Lexer lexer(text);
  order.key = take_key(lexer);
  if (lexer.token().kind != Token::Kind::end) lexer.fail_expected(":min, :max, :asc or :desc");
  return order;
}

bool Key::is_time() const {
  return attribute != nullptr && attribute->type == Attribute::Type::time;
}

namespace {

Value value_for(const Key& key, const Subject& subject) {
  Scratch scratch;
  const Operand operand = operand_of(key, subject, scratch);
  switch (operand.kind) {
    case Operand::Kind::missing:
    case Operand::Kind::undecided:
      return {};
    case Operand::Kind::integer:
    case Operand::Kind::time:
      return operand.integer;
    case Operand::Kind::number:
      return operand.number;
    case Operand::Kind::text:
      return operand.text;
    case Operand::Kind::truth:
      return operand.truth;
    case Operand::Kind::other:
      return *operand.other;
  }
  return {};
}

}  // namespace

Value Key::value(const RunHistory& run) const { return value_for(*this, subject_of(run)); }

Value Key::value(const RunHistory& run, const CheckpointRecord& checkpoint) const {
  return value_for(*this, subject_of(run, checkpoint));
}

}  // namespace ckp

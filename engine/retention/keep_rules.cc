// Keep rules as words, for programs: "last 2".
#include <fmt/format.h>

#include <charconv>
#include <sstream>

#include "ckp/error.h"
#include "ckp/retention.h"

namespace ckp {
namespace {

using Words = std::vector<std::string>;

Words words_of(const std::string& text) {
  std::istringstream stream(text);
  Words words;
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  return words;
}

[[noreturn]] void bad_keep_rule(const std::string& rule) {
  throw Error(
      ErrorCode::invalid_argument,
      fmt::format(
          "keep \"{}\": expected \"last N\", \"best N\", \"best N METRIC[:min|:max]\", "
          "\"every N epochs\", \"every N steps\", \"within 7d\", \"daily N\" or \"tag NAME\"",
          rule));
}

template <class Integer>
Integer positive_count(const std::string& rule, const std::string& word) {
  Integer number = 0;
  const char* end = word.data() + word.size();
  const auto result = std::from_chars(word.data(), end, number);
  if (result.ec != std::errc() || result.ptr != end || number <= 0) bad_keep_rule(rule);
  return number;
}

KeepBest best_rule(const std::string& rule, const Words& words) {
  KeepBest best;
  if (words.size() == 3) best = parse_keep_best(words[2]);
  best.count = positive_count<std::uint32_t>(rule, words[1]);
  return best;
}

void set_once(const std::string& rule, std::int64_t& field, const std::string& word) {
  if (field != 0) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("keep \"{}\": there is such a rule already, with {}", rule, field));
  }
  field = positive_count<std::int64_t>(rule, word);
}

void add_rule(const std::string& rule, KeepPolicy& policy) {
  const Words words = words_of(rule);
  const std::size_t size = words.size();
  const std::string& verb = size == 0 ? rule : words[0];
  if (verb == "last" && size == 2 && policy.last == 0) {
    policy.last = positive_count<std::uint32_t>(rule, words[1]);
  } else if (verb == "best" && (size == 2 || size == 3)) {
    policy.best.push_back(best_rule(rule, words));
  } else if (verb == "every" && size == 3 && words[2].starts_with("epoch")) {
    set_once(rule, policy.every_epochs, words[1]);
  } else if (verb == "every" && size == 3 && words[2].starts_with("step")) {
    set_once(rule, policy.every_steps, words[1]);
  } else if (verb == "within" && size == 2 && policy.within_ns == 0) {
    policy.within_ns = parse_duration_ns(words[1]);
  } else if (verb == "daily" && size == 2 && policy.daily == 0) {
    policy.daily = positive_count<std::uint32_t>(rule, words[1]);
  } else if (verb == "tag" && size == 2) {
    policy.tags.push_back(words[1]);
  } else {
    bad_keep_rule(rule);
  }
}

}  // namespace

KeepPolicy parse_keep_rules(std::span<const std::string> rules) {
  KeepPolicy policy;
  for (const std::string& rule : rules) add_rule(rule, policy);
  return policy;
}

}  // namespace ckp

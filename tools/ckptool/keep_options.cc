#include "keep_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "render.h"

namespace ckp::tool {

void KeepOptions::add_to(CLI::App& command) {
  const auto one = [&](const std::string& name, const std::string& type, auto& value,
                       const std::string& help) {
    options_.push_back(command.add_option(name, value, help)->type_name(type));
    return options_.back();
  };
  // One value each time it is given, so that it does not swallow the positionals behind it.
  const auto many = [&](const std::string& name, const std::string& type, auto& values,
                        const std::string& help) {
    one(name, type, values, help)->expected(1)->take_all()->allow_extra_args(false);
  };
  one("--keep-last", "N", last_, "The N newest finite ones of the current line");
  many("--keep-best", "[N:]METRIC[:min|max]", best_, "The N best by a metric; may be repeated");
  many("--keep-every", "Ne|Ns", every_,
       "The last save of each N-th epoch (10e); each N-th step (500s)");
  one("--keep-within", "DURATION", within_, "Those younger than 7d, 12h or 30m");
  one("--keep-daily", "N", daily_, "The last finite one of each of the last N days (UTC) with any");
  many("--keep-tag", "TAG", tags_, "Those with this tag; may be repeated");
}

bool KeepOptions::given() const {
  return std::ranges::any_of(options_, [](const CLI::Option* each) { return each->count() > 0; });
}

KeepPolicy KeepOptions::policy() const {
  KeepPolicy policy;
  policy.last = last_;
  for (const std::string& text : best_) policy.best.push_back(parse_keep_best(text));
  for (const std::string& text : every_) parse_keep_every(text, policy);
  if (!within_.empty()) policy.within_ns = parse_duration_ns(within_);
  policy.daily = daily_;
  policy.tags = tags_;
  return policy;
}

std::vector<std::string> keep_arguments(const KeepPolicy& policy) {
  std::vector<std::string> words;
  const auto put = [&](const char* option, std::string value) {
    words.emplace_back(option);
    words.push_back(std::move(value));
  };
  if (policy.last > 0) put("--keep-last", std::to_string(policy.last));
  for (const KeepBest& rule : policy.best) {
    const char* better = !rule.better ? "" : *rule.better == Better::lower ? ":min" : ":max";
    put("--keep-best", fmt::format("{}:{}{}", rule.count, rule.metric, better));
  }
  if (policy.every_epochs > 0) put("--keep-every", fmt::format("{}e", policy.every_epochs));
  if (policy.every_steps > 0) put("--keep-every", fmt::format("{}s", policy.every_steps));
  if (policy.within_ns > 0) put("--keep-within", duration_text(policy.within_ns));
  if (policy.daily > 0) put("--keep-daily", std::to_string(policy.daily));
  for (const std::string& tag : policy.tags) put("--keep-tag", tag);
  return words;
}

std::string keep_line(const KeepPolicy& policy) {
  std::vector<std::string> words = keep_arguments(policy);
  for (std::string& word : words) word = shell_word(word);
  return printable(join(words, " "));
}

}  // namespace ckp::tool

#include "ckp/address.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "ckp/error.h"
#include "ckp/query.h"
#include "ckp/shell_word.h"

namespace ckp {
namespace {

constexpr std::size_t shortest_id = 6;   // hexadecimal digits
constexpr std::size_t complete_id = 32;  // hexadecimal digits

[[noreturn]] void bad_address(std::string_view text, std::string_view why) {
  throw Error(ErrorCode::invalid_argument,
              fmt::format("address \"{}\": {}. An address is RUN, RUN@latest, RUN@final, RUN@N or "
                          "RUN@epoch:N, RUN@step:N, RUN@best, RUN@best:METRIC, "
                          "RUN@best:METRIC:min (or :max), RUN@ID (at least {} hexadecimal digits), "
                          "@ID or @ALIAS",
                          text, why, shortest_id));
}

bool is_decimal(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<std::string> as_hex(std::string_view text) {
  std::string lower;
  for (const char c : text) {
    const char small = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    if (!((small >= '0' && small <= '9') || (small >= 'a' && small <= 'f'))) return std::nullopt;
    lower.push_back(small);
  }
  return lower;
}

// An id or the beginning of one. All decimal digits mean an epoch, except for a complete id.
std::optional<std::string> as_id(std::string_view text) {
  if (text.size() < shortest_id || text.size() > complete_id) return std::nullopt;
  if (is_decimal(text) && text.size() != complete_id) return std::nullopt;
  return as_hex(text);
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::int64_t parse_number(std::string_view whole, std::string_view digits, std::string_view what) {
  std::int64_t number = 0;
  const auto end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, number);
  if (!is_decimal(digits) || result.ec != std::errc() || result.ptr != end) {
    bad_address(whole, fmt::format("\"{}\" is no {} number", digits, what));
  }
  return number;
}

void parse_best(std::string_view whole, std::string_view rest, Address& address) {
  address.kind = Address::Kind::best;
  if (rest.empty()) return;
  const auto colon = rest.rfind(':');
  const std::string_view last =
      colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  if (last == "min" || last == "max") {
    address.better = last == "min" ? Better::lower : Better::higher;
    rest = rest.substr(0, colon);
  }
  if (rest.empty()) bad_address(whole, "the name of a metric is missing after \"best:\"");
  address.metric = rest;
}

void parse_target(std::string_view whole, std::string_view target, Address& address) {
  const std::string_view asked = target;
  if (target == "latest") {
    address.kind = Address::Kind::latest;
  } else if (target == "final") {
    address.kind = Address::Kind::final;
  } else if (const auto id = as_id(target)) {
    address.kind = Address::Kind::id;
    address.text = *id;
  } else if (is_decimal(target) || take_prefix(target, "epoch:")) {
    address.kind = Address::Kind::epoch;
    address.number = parse_number(whole, target, "epoch");
  } else if (take_prefix(target, "step:")) {
    address.kind = Address::Kind::step;
    address.number = parse_number(whole, target, "step");
  } else if (target == "best") {
    parse_best(whole, {}, address);
  } else if (take_prefix(target, "best:")) {
    if (target.empty()) bad_address(whole, "the name of a metric is missing after \"best:\"");
    parse_best(whole, target, address);
  } else if (asked.empty()) {
    bad_address(whole, "nothing stands after \"@\"");
  } else {
    bad_address(whole, fmt::format("\"@{}\" is not understood", asked));
  }
}

// "@...": an id or an alias; the other forms need a run.
void parse_without_run(std::string_view whole, std::string_view target, Address& address) {
  if (const auto id = as_id(target)) {
    address.kind = Address::Kind::id;
    address.text = *id;
    return;
  }
  const bool needs_run = target == "latest" || target == "final" || target == "best" ||
                         target.starts_with("best:") || target.starts_with("epoch:") ||
                         target.starts_with("step:") || is_decimal(target);
  if (needs_run) bad_address(whole, "the run is missing before \"@\"");
  if (target.empty()) bad_address(whole, "nothing stands after \"@\"");
  address.kind = Address::Kind::alias;
  address.text = target;
}

// What is asked for, in the words of an address.
std::string spell(const Address& address) {
  switch (address.kind) {
    case Address::Kind::latest:
      return "@latest";
    case Address::Kind::final:
      return "@final";
    case Address::Kind::epoch:
      return fmt::format("@epoch:{}", address.number);
    case Address::Kind::step:
      return fmt::format("@step:{}", address.number);
    case Address::Kind::id:
    case Address::Kind::alias:
      return "@" + address.text;
    case Address::Kind::best:
      break;
  }
  std::string text = "@best";
  if (!address.metric.empty()) text += ":" + address.metric;
  if (address.better) text += *address.better == Better::lower ? ":min" : ":max";
  return text;
}

// Everything that answering one address needs.
struct Question {
  const Address& address;
  const RunRecord& run;
  std::span<const CheckpointRecord> all;
  std::vector<CheckpointRecord> line;
  std::string_view store;

  std::string subject() const { return run.name + spell(address); }
  // The command that lists all of the run's checkpoints.
  std::string list_all() const {
    return fmt::format("ckptool ls {}{} --all", store.empty() ? "" : shell_word(store) + " ",
                       shell_word(run.name));
  }
};

[[noreturn]] void not_found(const Question& question, const std::string& message) {
  throw Error(ErrorCode::not_found, fmt::format("{}: {}", question.subject(), message));
}

// "0, 1, 2, 5, 9": at most nine of them, the ones nearest to `wanted`.
std::string nearest_numbers(const std::set<std::int64_t>& numbers, std::int64_t wanted) {
  constexpr std::size_t most = 9;
  std::vector<std::int64_t> near(numbers.begin(), numbers.end());
  const auto distance = [&](std::int64_t n) { return n < wanted ? wanted - n : n - wanted; };
  std::stable_sort(near.begin(), near.end(),
                   [&](auto a, auto b) { return distance(a) < distance(b); });
  const bool all_shown = near.size() <= most;
  if (!all_shown) near.resize(most);
  std::sort(near.begin(), near.end());
  return fmt::format("{}{}", fmt::join(near, ", "),
                     all_shown ? "" : fmt::format(" and {} more", numbers.size() - most));
}

std::string metric_names(std::span<const CheckpointRecord> line) {
  std::set<std::string> names;
  for (const CheckpointRecord& checkpoint : line) {
    for (const auto& [name, value] : checkpoint.metrics) names.insert(name);
  }
  return names.empty() ? "its checkpoints have no metrics"
                       : fmt::format("it has {}", fmt::join(names, ", "));
}

// The last checkpoint of the line for which `matches` says yes.
template <class Predicate>
const CheckpointRecord* last_of(std::span<const CheckpointRecord> line, Predicate matches) {
  const auto found = std::find_if(line.rbegin(), line.rend(), matches);
  return found == line.rend() ? nullptr : &*found;
}

CheckpointRecord find_latest(const Question& question) {
  if (!question.line.empty()) return question.line.back();
  not_found(question, question.all.empty()
                          ? "the run has no checkpoints yet"
                          : fmt::format("the current line of the run has no checkpoints; {} "
                                        "superseded ones are listed by: {}",
                                        question.all.size(), question.list_all()));
}

CheckpointRecord find_final(const Question& question) {
  const auto* found = last_of(question.line, [](const auto& one) { return one.final; });
  if (found != nullptr) return *found;
  const CheckpointRecord latest = find_latest(question);
  not_found(question, fmt::format("no checkpoint was saved as the end of the run; the latest is "
                                  "epoch {}, step {}: use {}@latest",
                                  latest.epoch, latest.step, question.run.name));
}

CheckpointRecord find_number(const Question& question, std::int64_t CheckpointRecord::*field,
                             std::string_view unit) {
  const std::int64_t wanted = question.address.number;
  const auto matches = [&](const CheckpointRecord& one) { return one.*field == wanted; };
  if (const auto* found = last_of(question.line, matches)) return *found;
  find_latest(question);  // says so when there is nothing at all
  std::set<std::int64_t> numbers;
  for (const CheckpointRecord& one : question.line) numbers.insert(one.*field);
  std::string message = fmt::format("the run has no checkpoint of {} {}; there are {}s {}", unit,
                                    wanted, unit, nearest_numbers(numbers, wanted));
  const auto superseded = std::find_if(question.all.begin(), question.all.end(), matches);
  if (superseded != question.all.end()) {
    message +=
        fmt::format("; a superseded one is {}@{}", question.run.name, superseded->id.short_hex());
  }
  not_found(question, message);
}

CheckpointRecord find_best(const Question& question) {
  const RunRecord& run = question.run;
  const std::string metric =
      question.address.metric.empty() ? run.best_metric : question.address.metric;
  if (metric.empty()) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("{}: the run declares no best metric; name one, as in @best:val/loss:min "
                    "({})",
                    question.subject(), metric_names(question.line)));
  }
  const auto declared = run.directions.find(metric);
  if (!question.address.better && declared == run.directions.end()) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("{}: the run does not declare whether a lower or a higher {} is better; "
                    "say @best:{}:min or :max",
                    question.subject(), metric, metric));
  }
  const Better better = question.address.better ? *question.address.better : declared->second;
  if (const auto found = best(question.line, metric, better)) return *found;
  find_latest(question);  // says so when there is nothing at all
  not_found(question,
            fmt::format("no finite checkpoint of the run has a finite value of \"{}\"; {}", metric,
                        metric_names(question.line)));
}

CheckpointRecord find_id(const Question& question) {
  std::vector<const CheckpointRecord*> found;
  for (const CheckpointRecord& one : question.all) {
    if (one.id.hex().starts_with(question.address.text)) found.push_back(&one);
  }
  if (found.size() == 1) return *found.front();
  if (found.empty()) {
    not_found(question, fmt::format("no checkpoint of the run has an id that begins so; list them "
                                    "with: {}",
                                    question.list_all()));
  }
  std::vector<std::string> ids;
  for (const auto* one : found) {
    ids.push_back(fmt::format("{} (epoch {}, step {})", one->id.hex(), one->epoch, one->step));
  }
  throw Error(ErrorCode::invalid_argument,
              fmt::format("{}: {} checkpoints have an id that begins so, give more digits: {}",
                          question.subject(), found.size(), fmt::join(ids, ", ")));
}

}  // namespace

Address parse_address(std::string_view text) {
  if (text.empty()) bad_address(text, "it is empty");
  Address address;
  const auto at = text.find('@');
  address.run = text.substr(0, at);
  if (at == std::string_view::npos) return address;
  const std::string_view target = text.substr(at + 1);
  if (address.run.empty()) {
    parse_without_run(text, target, address);
  } else {
    parse_target(text, target, address);
  }
  return address;
}

CheckpointRecord resolve(const Address& address, const RunRecord& run,
                         std::span<const CheckpointRecord> checkpoints, std::string_view store) {
  const Question question{address, run, checkpoints, current_line(run, checkpoints), store};
  switch (address.kind) {
    case Address::Kind::latest:
      return find_latest(question);
    case Address::Kind::final:
      return find_final(question);
    case Address::Kind::epoch:
      return find_number(question, &CheckpointRecord::epoch, "epoch");
    case Address::Kind::step:
      return find_number(question, &CheckpointRecord::step, "step");
    case Address::Kind::best:
      return find_best(question);
    case Address::Kind::id:
      return find_id(question);
    case Address::Kind::alias:
      break;
  }
  throw Error(ErrorCode::not_found, fmt::format("@{}: an alias belongs to the store, not to run {}",
                                                address.text, run.name));
}

CheckpointRecord resolve_best(const Address& address, const RunRecord& run,
                              std::span<const CheckpointRecord> candidates) {
  return find_best({address, run, candidates, {candidates.begin(), candidates.end()}, {}});
}

}  // namespace ckp

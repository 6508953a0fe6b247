#include "ckp/aliases.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/address.h"
#include "ckp/error.h"

namespace ckp {
namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_spelled_as_alias(std::string_view name) {
  constexpr std::size_t longest = 100;
  return !name.empty() && name.size() <= longest && is_plain(name.front()) &&
         std::ranges::all_of(name, [](char c) { return is_plain(c) || c == '.' || c == '-'; });
}

bool means_alias(std::string_view name) {
  try {
    return parse_address(fmt::format("@{}", name)).kind == Address::Kind::alias;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::string_view to_string(AliasChange::Kind kind) {
  switch (kind) {
    case AliasChange::Kind::promoted:
      return "promoted";
    case AliasChange::Kind::rolled_back:
      return "rolled_back";
    case AliasChange::Kind::removed:
      return "removed";
  }
  return "unknown";
}

std::map<std::string, AliasChange> current_aliases(const std::vector<AliasChange>& history) {
  std::map<std::string, AliasChange> current;
  for (const AliasChange& change : history) {
    if (change.to) {
      current[change.alias] = change;
    } else {
      current.erase(change.alias);
    }
  }
  return current;
}

std::map<std::string, AliasChange> aliases_at(const std::vector<AliasChange>& history,
                                              std::int64_t time_ns) {
  std::vector<AliasChange> until;
  std::ranges::copy_if(history, std::back_inserter(until),
                       [&](const AliasChange& change) { return change.time_ns <= time_ns; });
  return current_aliases(until);
}

void check_alias_name(std::string_view name) {
  if (!is_spelled_as_alias(name)) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("\"{}\": an alias is 1 to 100 letters, digits, '.', '_' and '-', and "
                            "begins with a letter, a digit or '_'",
                            name));
  }
  if (means_alias(name)) return;
  throw Error(
      ErrorCode::invalid_argument,
      fmt::format("\"{0}\" cannot be an alias: @{0} would mean an epoch, the beginning of a "
                  "checkpoint's id, or a word of an address",
                  name));
}

}  // namespace ckp

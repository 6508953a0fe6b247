// Aliases: names such as `production` that point at a checkpoint of the store, with their history.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/uuid.h"
#include "ckp/value.h"

namespace ckp {

// One line of an alias's history. Nothing in a history is ever changed or removed.
struct AliasChange {
  enum class Kind { promoted, rolled_back, removed };
  Kind kind = Kind::promoted;
  std::string alias;
  std::optional<Uuid> from;  // checkpoint before; nothing: there was no such alias
  std::optional<Uuid> to;    // checkpoint from now on; nothing: the alias was removed
  std::int64_t time_ns = 0;  // UTC, by the clock of whoever did it; the order is the history's
  std::string who;           // "user@host"
  std::string note;
  Value::Map metadata;  // for whoever serves the checkpoint: "region" -> "eu"
};
std::string_view to_string(AliasChange::Kind kind);

struct PromoteOptions {
  std::string note = {};
  Value::Map metadata = {};
};

// What aliases point at after these changes, each with the change that made it so.
std::map<std::string, AliasChange> current_aliases(const std::vector<AliasChange>& history);
// The same as it was at a time, by the times in the history.
std::map<std::string, AliasChange> aliases_at(const std::vector<AliasChange>& history,
                                              std::int64_t time_ns);

// 1 to 100 letters, digits, '.', '_' and '-', a letter, digit or '_' first, and nothing that means
// something else behind an '@': "latest", "12", or six or more hexadecimal digits, which are an id.
// Throws Error(invalid_argument).
void check_alias_name(std::string_view name);

}  // namespace ckp

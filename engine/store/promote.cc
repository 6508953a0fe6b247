#include "store/promote.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "ckp/shell_word.h"
#include "io/host.h"
#include "store/marks.h"

namespace ckp {
namespace {

std::optional<Uuid> target_of(const Marks& marks, std::string_view alias) {
  const auto current = current_aliases(marks.aliases);
  const auto found = current.find(std::string(alias));
  return found == current.end() ? std::nullopt : found->second.to;
}

Error no_such_alias(const StoreCore& core, std::string_view alias,
                    const std::map<std::string, AliasChange>& known, std::string_view when) {
  std::string others;
  for (const auto& [name, change] : known) others += (others.empty() ? "" : ", ") + name;
  return {ErrorCode::not_found,
          fmt::format("{}: no alias '{}' in this store{}; aliases: {}", core.layout().root.string(),
                      alias, when, others.empty() ? "none" : others)};
}

AliasChange new_change(const StoreCore& core, AliasChange::Kind kind, std::string_view alias,
                       std::string note) {
  AliasChange change;
  change.kind = kind;
  change.alias = alias;
  change.time_ns = core.clock().now_ns();
  change.who = fmt::format("{}@{}", user_name(), host_name());
  change.note = std::move(note);
  return change;
}

void check_live(const StoreCore& core, const Uuid& checkpoint, std::string_view alias,
                std::string_view advice) {
  if (find_live(core, checkpoint)) return;
  throw Error(ErrorCode::not_found,
              fmt::format("{}: checkpoint {} is gone; alias {} stays as it is{}",
                          core.layout().root.string(), checkpoint.short_hex(), alias, advice));
}

// The promotions that no later rollback has taken back, oldest first. One that names the checkpoint
// again only renews its note.
std::vector<AliasChange> standing(const Marks& marks, std::string_view alias) {
  std::vector<AliasChange> stack;
  for (const AliasChange& change : marks.aliases) {
    if (change.alias != alias) continue;
    if (change.kind == AliasChange::Kind::removed) {
      stack.clear();
    } else if (change.kind == AliasChange::Kind::rolled_back) {
      if (!stack.empty()) stack.pop_back();
    } else if (!stack.empty() && stack.back().to == change.to) {
      stack.back() = change;
    } else {
      stack.push_back(change);
    }
  }
  return stack;
}

}  // namespace

AliasChange promote(StoreCore& core, const CheckpointRecord& checkpoint, std::string_view alias,
                    const PromoteOptions& options) {
  check_alias_name(alias);
  AliasChange change = new_change(core, AliasChange::Kind::promoted, alias, options.note);
  change.metadata = options.metadata;
  change.to = checkpoint.id;
  change_marks(core, [&](Marks& marks) {
    check_live(core, checkpoint.id, alias, "");
    change.from = target_of(marks, alias);
    marks.aliases.push_back(change);
  });
  return change;
}

AliasChange roll_back(StoreCore& core, std::string_view alias, const std::string& note) {
  AliasChange change = new_change(core, AliasChange::Kind::rolled_back, alias, note);
  change_marks(core, [&](Marks& marks) {
    change.from = target_of(marks, alias);
    if (!change.from) throw no_such_alias(core, alias, current_aliases(marks.aliases), "");
    const auto stack = standing(marks, alias);
    if (stack.size() < 2) {
      throw Error(ErrorCode::not_found,
                  fmt::format("{}: alias {} has pointed at nothing else before; to take it away: "
                              "ckptool promote {} --remove {}",
                              core.layout().root.string(), alias,
                              shell_word(core.layout().root.string()), alias));
    }
    const AliasChange& before = stack[stack.size() - 2];
    check_live(core, *before.to, alias, "; promote another one");
    change.to = before.to;
    change.metadata = before.metadata;
    marks.aliases.push_back(change);
  });
  return change;
}

AliasChange remove_alias(StoreCore& core, std::string_view alias, const std::string& note) {
  AliasChange change = new_change(core, AliasChange::Kind::removed, alias, note);
  change_marks(core, [&](Marks& marks) {
    change.from = target_of(marks, alias);
    if (!change.from) throw no_such_alias(core, alias, current_aliases(marks.aliases), "");
    marks.aliases.push_back(change);
  });
  return change;
}

Uuid resolve_alias(const StoreCore& core, std::string_view alias,
                   std::optional<std::int64_t> time_ns) {
  const auto history = read_marks(core).aliases;
  const auto known = time_ns ? aliases_at(history, *time_ns) : current_aliases(history);
  const auto found = known.find(std::string(alias));
  if (found != known.end()) return *found->second.to;
  throw no_such_alias(core, alias, known, time_ns ? " at " + local_time(*time_ns) : "");
}

}  // namespace ckp

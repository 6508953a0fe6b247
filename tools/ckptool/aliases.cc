// ckptool aliases: what aliases point at, and the history of one.
#include <fmt/format.h>

#include <algorithm>

#include "alias_report.h"
#include "command.h"
#include "render.h"

namespace ckp::tool {

Json to_json(const AliasChange& change) {
  const auto id = [](const std::optional<Uuid>& checkpoint) {
    return checkpoint ? Json(checkpoint->hex()) : Json(nullptr);
  };
  return {{"alias", change.alias}, {"action", to_string(change.kind)},    {"from", id(change.from)},
          {"to", id(change.to)},   {"time", iso_time(change.time_ns)},    {"who", change.who},
          {"note", change.note},   {"metadata", to_json(change.metadata)}};
}

std::string short_id(const std::optional<Uuid>& checkpoint) {
  return checkpoint ? short_id(*checkpoint) : "-";
}

std::string change_text(const AliasChange& change) {
  return fmt::format("{}: {} -> {}", change.alias, short_id(change.from), short_id(change.to));
}

namespace {

std::string metadata_text(const Value::Map& metadata) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : flatten(metadata)) parts.push_back(name + "=" + value);
  return join(parts);
}

class Aliases : public Command {
 public:
  Aliases()
      : Command("aliases", "List the aliases, or the history of one, oldest first",
                "ckptool aliases ./store\n"
                "ckptool aliases ./store production") {}

 private:
  void declare() override {
    store_positional();
    positional("ALIAS", "Show everything that it has ever pointed at");
  }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 0, 1, "ALIAS");
    const OpenedStore store(context, found.path);
    const std::vector<AliasChange> history = store.alias_history();
    if (found.rest.empty()) {
      list(context, store, history);
    } else {
      show_history(context, store, history, found.rest[0]);
    }
    return ExitCode::ok;
  }

  // "cnn-lr3@9c0e11d2", or what is known of one that is gone.
  static std::string checkpoint_text(const Store& store, const AliasChange& change) {
    try {
      Address address;
      address.kind = Address::Kind::id;
      address.text = change.to->hex();
      return address_text(store.find(address));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::not_found) throw;
      return short_id(change.to) + " (gone)";
    }
  }

  void list(Context& context, const Store& store, const std::vector<AliasChange>& history) const {
    Json json = Json::array();
    Table table({{"ALIAS"}, {"CHECKPOINT"}, {"SINCE"}, {"WHO"}, {"METADATA"}, {"NOTE"}});
    for (const auto& [name, change] : current_aliases(history)) {
      json.push_back(to_json(change));
      table.add({name, checkpoint_text(store, change), local_time(change.time_ns),
                 printable(change.who), printable(metadata_text(change.metadata)),
                 printable(change.note)});
    }
    print(context, json, table.empty() ? "no aliases\n" : table.text());
  }

  void show_history(Context& context, const Store& store, const std::vector<AliasChange>& history,
                    std::string name) const {
    if (name.starts_with('@')) name.erase(0, 1);
    Json json = Json::array();
    Table table({{"TIME"}, {"ACTION"}, {"FROM"}, {"TO"}, {"WHO"}, {"METADATA"}, {"NOTE"}});
    for (const AliasChange& change : history) {
      if (change.alias != name) continue;
      json.push_back(to_json(change));
      table.add({local_time(change.time_ns), std::string(to_string(change.kind)),
                 short_id(change.from), short_id(change.to), printable(change.who),
                 printable(metadata_text(change.metadata)), printable(change.note)});
    }
    if (table.empty()) {
      throw Error(ErrorCode::not_found, fmt::format("{}: there has never been an alias '{}'",
                                                    store.path().string(), printable(name)));
    }
    print(context, json, table.text());
  }
};

}  // namespace

std::unique_ptr<Command> make_aliases() { return std::make_unique<Aliases>(); }

}  // namespace ckp::tool

// ckptool promote: lets an alias point at a checkpoint.
#include <fmt/format.h>

#include "alias_report.h"
#include "command.h"
#include "render.h"
#include "source.h"

namespace ckp::tool {
namespace {

class Promote : public Command {
 public:
  Promote()
      : Command("promote",
                "Let an alias point at a checkpoint, which is not pruned as long as it does",
                "ckptool promote ./store cnn-lr3@best production --note \"passed review\"\n"
                "ckptool promote ./store @staging production --meta region=eu\n"
                "ckptool promote ./store --rollback production") {}

 private:
  void declare() override {
    store_positional();
    positional("ADDRESS", "The checkpoint: RUN[@WHICH], or the @ALIAS that points at it");
    positional("ALIAS", "The alias: production, staging, ...; made when there is none");
    option("--rollback", "ALIAS", rollback_, "Back to the checkpoint that it pointed at before");
    option("--remove", "ALIAS", remove_, "Take the alias away; its history stays");
    option("--note", "TEXT", options_.note, "Why, for its history");
    options("--meta", "KEY=VALUE", metadata_, "For whoever serves the checkpoint; may be repeated");
  }

  ExitCode run(Context& context) override {
    const bool promotes = rollback_.empty() && remove_.empty();
    if (!rollback_.empty() && !remove_.empty()) {
      throw UsageError("--rollback and --remove cannot both be meant");
    }
    const std::size_t count = promotes ? 2 : 0;
    const StoreArgument found = store_and_rest(context, count, count, "ADDRESS and ALIAS");
    read_metadata(promotes);
    OpenedStore store(context, found.path);
    const AliasChange change = promotes          ? promote(store, found.rest[0], found.rest[1])
                               : remove_.empty() ? store.roll_back(rollback_, options_.note)
                                                 : store.remove_alias(remove_, options_.note);
    print(context, to_json(change), quiet() ? "" : change_text(change) + "\n");
    return ExitCode::ok;
  }

  void read_metadata(bool promotes) {
    for (const std::string& text : metadata_) {
      if (!promotes) throw UsageError("--meta goes with ADDRESS and ALIAS");
      const auto equals = text.find('=');
      if (equals == 0 || equals == std::string::npos) {
        throw UsageError(fmt::format("--meta \"{}\": expected KEY=VALUE", printable(text)));
      }
      options_.metadata[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }

  AliasChange promote(Store& store, const std::string& address, std::string alias) const {
    if (alias.starts_with('@')) alias.erase(0, 1);
    check_alias_name(alias);
    return store.promote(open_address(store, address, Read::everything).record(), alias, options_);
  }

  PromoteOptions options_;
  std::string rollback_, remove_;
  std::vector<std::string> metadata_;
};

}  // namespace

std::unique_ptr<Command> make_promote() { return std::make_unique<Promote>(); }

}  // namespace ckp::tool

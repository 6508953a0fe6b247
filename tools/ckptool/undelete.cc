// ckptool undelete: brings checkpoints back from the trash.
#include <fmt/format.h>

#include "ckp/address.h"
#include "command.h"
#include "render.h"

namespace ckp::tool {
namespace {

class Undelete : public Command {
 public:
  Undelete()
      : Command("undelete", "Bring checkpoints back that went to the trash (--trash)",
                "ckptool undelete ./store cnn-lr3@9c0e11d2\n"
                "ckptool undelete ./store --all") {}

 private:
  void declare() override {
    store_positional();
    positional("ADDRESS", "Checkpoints in the trash, each written with its @", true);
    flag("--all,-a", all_, "All that is in the trash");
  }

  ExitCode run(Context& context) override {
    constexpr std::size_t any_number = 1'000'000;
    const StoreArgument found = store_and_rest(context, 0, any_number, "");
    if (found.rest.empty() != all_) {
      throw UsageError("expected either addresses (RUN@EPOCH, RUN@ID) or --all");
    }
    OpenedStore store(context, found.path);
    std::vector<Uuid> ids;
    if (all_) {
      for (const TrashedCheckpoint& one : store.trash()) ids.push_back(one.checkpoint.id);
    }
    for (const std::string& text : found.rest) ids.push_back(find(store, text).id);
    const std::vector<CheckpointRecord> back = store.undelete(ids);
    Json json = Json::array();
    std::vector<std::string> names;
    for (const CheckpointRecord& each : back) {
      json.push_back(to_json(each));
      names.push_back(
          fmt::format("{} (epoch {}, step {})", address_text(each), each.epoch, each.step));
    }
    const std::string text =
        names.empty() ? "nothing in the trash\n" : fmt::format("brought back {}\n", join(names));
    print(context, {{"undeleted", json}}, quiet() ? "" : text);
    return ExitCode::ok;
  }

  static CheckpointRecord find(const Store& store, const std::string& text) {
    if (text.find('@') == std::string::npos) {
      throw Error(
          ErrorCode::invalid_argument,
          fmt::format("{}: says no checkpoint; see: ckptool ls {} {} --trash", printable(text),
                      shell_word(store.path().string()), shell_word(text)));
    }
    return store.find_in_trash(parse_address(text));
  }

  bool all_ = false;
};

}  // namespace

std::unique_ptr<Command> make_undelete() { return std::make_unique<Undelete>(); }

}  // namespace ckp::tool

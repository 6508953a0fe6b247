// ckptool rm: deletes checkpoints, or a run.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "ckp/address.h"
#include "ckp/retention.h"
#include "command.h"
#include "render.h"
#include "search_options.h"

namespace ckp::tool {
namespace {

// Asks on the terminal. Only a plain yes is one.
bool confirmed(const std::string& question) {
  std::cerr << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

class Rm : public Command {
 public:
  Rm()
      : Command("rm", "Delete checkpoints, or a whole run with its record",
                "ckptool rm ./store cnn-lr3@4 cnn-lr3@9c0e11d2\n"
                "ckptool rm ./store --run cnn-lr3 --yes") {}

 private:
  void declare() override {
    store_positional();
    positional("ADDRESS", "Checkpoints, each written with its @", true);
    option("--run", "RUN", run_, "Delete this run, its checkpoints and its record");
    option("--trash", "DURATION", trash_,
           "Keep them in the trash for 7d, 12h or 30m: ckptool undelete brings them back");
    flag("--exclusive", options_.exclusive,
         "Nobody else uses the store, on no host: needed on a network file system");
    flag("--yes,-y", yes_, "Do not ask; needed when there is no terminal");
  }

  ExitCode run(Context& context) override {
    constexpr std::size_t any_number = 1'000'000;
    const StoreArgument found = store_and_rest(context, 0, any_number, "");
    if (found.rest.empty() == run_.empty()) {
      throw UsageError("expected either addresses (RUN@EPOCH, RUN@ID) or --run RUN");
    }
    if (!trash_.empty())
      options_.trash_ns = parse_option("--trash", [&] { return parse_duration_ns(trash_); });
    OpenedStore store(context, found.path);
    return run_.empty() ? remove_checkpoints(context, store, found.rest)
                        : remove_run(context, store);
  }

  ExitCode remove_checkpoints(Context& context, Store& store,
                              const std::vector<std::string>& addresses) {
    const std::vector<CheckpointRecord> victims = find_all(store, addresses);
    std::vector<std::string> names;
    std::vector<Uuid> ids;
    Json deleted = Json::array();
    for (const CheckpointRecord& each : victims) {
      const bool readable = each.epoch >= 0;
      const std::string epoch = readable ? fmt::format("epoch {}", each.epoch) : "cannot be read";
      names.push_back(fmt::format("{} ({}, step {})", address_text(each), epoch, each.step));
      ids.push_back(each.id);
      deleted.push_back(to_json(each));
      if (!readable) deleted.back()["epoch"] = nullptr;
    }
    const bool to_trash = options_.trash_ns > 0;
    const std::string what = to_trash ? "move to the trash " : "delete ";
    if (!may(fmt::format("{}{}: {}?", what, counted(victims.size(), "checkpoint"), join(names)))) {
      return refuse(context);
    }
    const std::uint64_t freed = store.remove_checkpoints(ids, options_);
    const std::string text =
        to_trash ? fmt::format(
                       "moved to the trash for {}: {}; freed {}; bring back: ckptool "
                       "undelete {} {}\n",
                       trash_, join(names), exact_size(freed), shell_word(store.path().string()),
                       shell_word(address_text(victims[0])))
                 : fmt::format("deleted {}, freed {}\n", join(names), exact_size(freed));
    Json json{{"deleted", deleted}, {"bytes_freed", freed}};
    if (to_trash) json["trash"] = trash_;
    print(context, json, quiet() ? "" : text);
    return ExitCode::ok;
  }

  // All are found before the first is deleted; one that is named twice counts once.
  static std::vector<CheckpointRecord> find_all(const Store& store,
                                                const std::vector<std::string>& addresses) {
    std::vector<CheckpointRecord> found;
    for (const std::string& text : addresses) {
      if (text.find('@') == std::string::npos) {
        const std::string word = shell_word(text);
        throw Error(
            ErrorCode::invalid_argument,
            fmt::format("{}: says no checkpoint; its newest one is {}@latest, the whole run "
                        "is --run {}",
                        printable(text), word, word));
      }
      const CheckpointRecord one = store.find_to_remove(parse_address(text));
      const bool known =
          std::any_of(found.begin(), found.end(),
                      [&](const CheckpointRecord& other) { return other.id == one.id; });
      if (!known) found.push_back(one);
    }
    return found;
  }

  ExitCode remove_run(Context& context, Store& store) {
    const RunRecord record = store.run(run_);
    const std::uint64_t count = store.checkpoints(record.id).size();
    const auto trash = store.trash();
    const auto in_trash = std::count_if(trash.begin(), trash.end(), [&](const auto& one) {
      return one.checkpoint.run == record.id;
    });
    const std::string besides = in_trash == 0 ? "" : fmt::format(", {} in the trash", in_trash);
    if (!may(fmt::format("delete run {} with {}{} and its record?", record.name,
                         counted(count, "checkpoint"), besides))) {
      return refuse(context);
    }
    const std::uint64_t freed = store.remove_run(record.id.hex(), options_);
    print(context,
          {{"deleted_run", to_json(record)}, {"checkpoints", count}, {"bytes_freed", freed}},
          quiet() ? ""
                  : fmt::format("deleted run {} with {}, freed {}\n", record.name,
                                counted(count, "checkpoint"), exact_size(freed)));
    return ExitCode::ok;
  }

  bool may(const std::string& question) const {
    if (yes_) return true;
    if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1) {
      throw UsageError("rm asks before it deletes, and there is no terminal; add --yes");
    }
    return confirmed("ckptool: " + question);
  }

  ExitCode refuse(Context& context) const {
    print(context, {{"deleted", Json::array()}, {"bytes_freed", 0}}, "nothing deleted\n");
    return ExitCode::error;
  }

  PruneOptions options_;
  std::string run_, trash_;
  bool yes_ = false;
};

}  // namespace

std::unique_ptr<Command> make_rm() { return std::make_unique<Rm>(); }

}  // namespace ckp::tool

// ckptool best: the best checkpoint of a run by a metric.
#include <fmt/format.h>

#include "ckp/address.h"
#include "command.h"
#include "facts.h"
#include "render.h"

namespace ckp::tool {
namespace {

class Best : public Command {
 public:
  Best()
      : Command("best", "Show the best checkpoint of a run by a metric",
                "ckptool best ./store cnn-lr3\n"
                "ckptool best ./store cnn-lr3 val/accuracy:max") {}

 private:
  void declare() override {
    store_positional();
    positional("RUN", "A run's name or the beginning of its id");
    positional("METRIC", "METRIC[:min|max]; left out: the one that the trainer declared");
  }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 1, 2, "RUN");
    if (found.rest[0].find('@') != std::string::npos) {
      throw UsageError(
          fmt::format("{}: expected a run, found an address; to look at one: ckptool "
                      "show {}",
                      printable(found.rest[0]), shell_word(found.rest[0])));
    }
    std::string text = found.rest[0] + "@best";
    if (found.rest.size() == 2) text += ":" + found.rest[1];
    const OpenedStore store(context, found.path);
    const CheckpointRecord winner = store.find(parse_address(text));
    tell_missing(store, store.run(found.rest[0]));
    print(context, to_json(winner),
          facts_text(checkpoint_facts(winner)) + "metrics\n" +
              facts_text(metric_facts(winner), "  "));
    return ExitCode::ok;
  }
};

}  // namespace

std::unique_ptr<Command> make_best() { return std::make_unique<Best>(); }

}  // namespace ckp::tool

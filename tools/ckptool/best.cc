// ckptool best: the best checkpoint of a run by a metric.
#include <fmt/format.h>

#include "ckp/address.h"
#include "command.h"
#include "facts.h"
#include "render.h"
#include "search_options.h"

namespace ckp::tool {
namespace {

class Best : public Command {
 public:
  Best()
      : Command("best", "Show the best checkpoint of a run by a metric",
                "ckptool best ./store cnn-lr3\n"
                "ckptool best ./store cnn-lr3 val/accuracy:max\n"
                "ckptool best ./store cnn-lr3 --where \"metrics.val/loss < 0.4 and epoch >= 10\"") {
  }

 private:
  void declare() override {
    store_positional();
    positional("RUN", "A run's name or the beginning of its id");
    positional("METRIC", "METRIC[:min|max]; left out: the one that the trainer declared");
    options_.declare_where(*app());
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
    Search search = options_.search();
    search.runs = {found.rest[0]};
    const OpenedStore store(context, found.path);
    const RunRecord run = store.run(found.rest[0]);
    const CheckpointRecord winner = winner_of(store, run, parse_address(text), search);
    tell_missing(store, run);
    print(context, to_json(winner),
          facts_text(checkpoint_facts(winner)) + "metrics\n" +
              facts_text(metric_facts(winner), "  "));
    return ExitCode::ok;
  }

  CheckpointRecord winner_of(const Store& store, const RunRecord& run, const Address& address,
                             const Search& search) const {
    if (!options_.has_where()) return store.find(address);
    std::vector<CheckpointRecord> candidates;
    for (FoundCheckpoint& one : store.find_checkpoints(search)) {
      candidates.push_back(std::move(one.checkpoint));
    }
    if (candidates.empty()) {
      throw Error(ErrorCode::not_found,
                  fmt::format("no checkpoint of the current line of {} matches --where",
                              printable(run.name)));
    }
    return resolve_best(address, run, candidates);
  }

  SearchOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_best() { return std::make_unique<Best>(); }

}  // namespace ckp::tool

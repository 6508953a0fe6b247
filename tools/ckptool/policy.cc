// ckptool policy: shows and sets what a prune without rules keeps, and what trainers do.
#include <fmt/format.h>

#include <map>

#include "command.h"
#include "keep_options.h"
#include "render.h"

namespace ckp::tool {
namespace {

class Policy : public Command {
 public:
  Policy()
      : Command("policy",
                "Show or set what the store keeps: applied after each save, and by prune without "
                "rules",
                "ckptool policy ./store --keep-last 3 --keep-best 1:val/auc:max\n"
                "ckptool policy ./store --run cnn-lr3 --keep-every 10e --keep-last 1\n"
                "ckptool policy ./store") {}

 private:
  void declare() override {
    store_positional();
    keep_.add_to(*app());
    option("--run", "RUN", run_, "Of this run alone, in the place of the store's");
    flag("--clear", clear_, "Take it back: every checkpoint stays, or the store's decides again");
  }

  ExitCode run(Context& context) override {
    if (clear_ && keep_.given()) throw UsageError("--clear and rules cannot both be meant");
    const KeepPolicy policy = keep_.policy();
    const StoreArgument found = store_and_rest(context, 0, 0, "");
    OpenedStore store(context, found.path);
    if (clear_) {
      store.clear_policy(run_);
    } else if (keep_.given()) {
      store.set_policy(policy, run_);
    }
    show(context, store, clear_ || keep_.given());
    return ExitCode::ok;
  }

  static Json rules_json(const StoredPolicy& policy) {
    return {{"options", keep_arguments(policy.keep)},
            {"time", iso_time(policy.time_ns)},
            {"who", policy.who}};
  }

  // All of them, or the one that counts for --run.
  void show(Context& context, const Store& store, bool changed) const {
    const StoredPolicies policies = store.policies();
    std::map<Uuid, std::string> names;
    for (const RunRecord& each : store.runs()) names.emplace(each.id, each.name);
    const std::optional<Uuid> only =
        run_.empty() ? std::nullopt : std::optional(store.run(run_).id);
    Json runs = Json::object();
    Table table({{"RUN"}, {"KEEPS"}, {"SINCE"}, {"WHO"}});
    const auto add = [&](const std::string& name, const StoredPolicy& policy) {
      table.add({name, keep_line(policy.keep), local_time(policy.time_ns), printable(policy.who)});
    };
    const bool store_counts = policies.store && (!only || !policies.runs.contains(*only));
    if (store_counts) add(only ? printable(names.at(*only)) : "-", *policies.store);
    for (const auto& [id, policy] : policies.runs) {
      // Of a run that is gone it means nothing any more.
      if (!names.contains(id) || (only && *only != id)) continue;
      runs[names.at(id)] = rules_json(policy);
      add(printable(names.at(id)), policy);
    }
    const Json json{{"store", store_counts ? rules_json(*policies.store) : Json(nullptr)},
                    {"runs", std::move(runs)}};
    const std::string root = shell_word(store.path().string());
    std::string text = table.text();
    if (table.empty()) {
      text = fmt::format(
          "no policy: every checkpoint stays; to set one: ckptool policy {} "
          "--keep-last 3\n",
          root);
    } else if (changed) {
      text += fmt::format("what it deletes: ckptool prune {} --dry-run\n", root);
    }
    print(context, json, quiet() && changed ? "" : text);
  }

  KeepOptions keep_;
  std::string run_;
  bool clear_ = false;
};

}  // namespace

std::unique_ptr<Command> make_policy() { return std::make_unique<Policy>(); }

}  // namespace ckp::tool

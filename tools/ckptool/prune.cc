// ckptool prune: deletes the checkpoints that no rule keeps.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ckp/retention.h"
#include "command.h"
#include "keep_options.h"
#include "render.h"
#include "search_options.h"

namespace ckp::tool {
namespace {

std::string reasons_of(const PruneEntry& entry) {
  std::vector<std::string> reasons = entry.decision.reasons;
  if (!entry.held.empty()) reasons.push_back("file stays: " + entry.held);
  return printable(join(reasons));
}

const char* action_of(const PruneEntry& entry) {
  if (entry.decision.keep) return "keep";
  return entry.trash_until_ns > 0 ? "trash" : "delete";
}

Json rewrites_json(const PrunePlan& plan) {
  Json rewrites = Json::array();
  for (const PackRewrite& one : plan.rewrites) {
    rewrites.push_back({{"pack", one.pack.hex()},
                        {"run", one.run},
                        {"bytes_before", one.bytes_before},
                        {"bytes_after", one.bytes_after}});
  }
  return rewrites;
}

Json plan_json(const PrunePlan& plan, bool dry_run) {
  Json entries = Json::array();
  for (const PruneEntry& entry : plan.entries) {
    const CheckpointRecord& checkpoint = entry.decision.checkpoint;
    entries.push_back({{"run", entry.run},
                       {"checkpoint", checkpoint.id.hex()},
                       {"epoch", checkpoint.epoch},
                       {"step", checkpoint.step},
                       {"action", action_of(entry)},
                       {"reasons", entry.decision.reasons},
                       {"bytes_freed", entry.bytes_freed},
                       {"held", entry.held}});
    if (entry.trash_until_ns > 0) entries.back()["trash_until"] = iso_time(entry.trash_until_ns);
  }
  return {{"dry_run", dry_run},
          {"entries", entries},
          {"bytes_freed", plan.bytes_freed},
          {"bytes_held", plan.bytes_held},
          {"garbage_files", plan.garbage_files},
          {"rewrites", rewrites_json(plan)},
          {"bytes_trashed", plan.bytes_trashed},
          {"expired", plan.expired},
          {"trash",
           {{"checkpoints", plan.trash_checkpoints},
            {"bytes", plan.trash_bytes},
            {"bytes_freed_later", plan.trash_frees}}},
          {"notes", plan.notes}};
}

std::string entries_table(const PrunePlan& plan) {
  Table table({{"RUN"},
               {"CHECKPOINT"},
               {"EPOCH", Table::Align::right},
               {"STEP", Table::Align::right},
               {"ACTION"},
               {"FREES", Table::Align::right},
               {"REASON"}});
  for (const PruneEntry& entry : plan.entries) {
    const CheckpointRecord& checkpoint = entry.decision.checkpoint;
    const bool keep = entry.decision.keep;
    table.add({entry.run, short_id(checkpoint.id), std::to_string(checkpoint.epoch),
               std::to_string(checkpoint.step), action_of(entry),
               keep ? "-" : human_size(entry.bytes_freed), reasons_of(entry)});
  }
  return table.empty() ? "no checkpoints\n" : table.text();
}

// One line for each reason why files of deleted checkpoints stay.
std::string held_lines(const PrunePlan& plan) {
  std::map<std::string, std::uint64_t> reasons;
  for (const PruneEntry& entry : plan.entries) {
    if (!entry.held.empty()) ++reasons[entry.held];
  }
  std::string text = fmt::format("{} of deleted checkpoints stay:\n", exact_size(plan.bytes_held));
  for (const auto& [reason, count] : reasons) {
    text += fmt::format("  {}: {}\n", counted(count, "file"), printable(reason));
  }
  return text;
}

std::string trash_lines(const PrunePlan& plan, bool dry_run) {
  std::string text;
  if (plan.expired > 0) {
    text += fmt::format("{} {} the trash for good\n", counted(plan.expired, "checkpoint"),
                        dry_run ? "would leave" : "left");
  }
  if (plan.trash_checkpoints > 0) {
    text += fmt::format(
        "in the trash: {}, {}; when they go, {} are freed, and {} are shared with "
        "others\n",
        counted(plan.trash_checkpoints, "checkpoint"), exact_size(plan.trash_bytes),
        exact_size(plan.trash_frees),
        exact_size(plan.trash_bytes - std::min(plan.trash_bytes, plan.trash_frees)));
  }
  return text;
}

// What happens to the checkpoints; nothing about them when only the trash was to be emptied.
std::string decided_line(const PrunePlan& plan, bool dry_run, bool to_trash, bool only_trash) {
  std::uint64_t deleted = 0;
  for (const PruneEntry& entry : plan.entries) deleted += entry.decision.keep ? 0 : 1;
  const char* const verb = to_trash ? (dry_run ? "would move to the trash" : "moved to the trash")
                                    : (dry_run ? "would delete" : "deleted");
  std::string text;
  if (!only_trash) {
    text = fmt::format("{} {} of {}, ", verb, grouped(deleted),
                       counted(plan.entries.size(), "checkpoint"));
  }
  return text +
         fmt::format("{} {}\n", dry_run ? "would free" : "freed", exact_size(plan.bytes_freed));
}

std::string summary_of(const PrunePlan& plan, bool dry_run, bool to_trash, bool only_trash) {
  std::string text = decided_line(plan, dry_run, to_trash, only_trash);
  text += trash_lines(plan, dry_run);
  if (plan.garbage_files > 0) {
    text +=
        fmt::format("{} of saves that died {} among them\n", counted(plan.garbage_files, "file"),
                    plan.garbage_files == 1 ? "is" : "are");
  }
  if (!plan.rewrites.empty()) {
    std::uint64_t saved = 0;
    for (const PackRewrite& one : plan.rewrites) saved += one.bytes_before - one.bytes_after;
    text +=
        fmt::format("{} {} that kept checkpoints need in part, which {} {} of it\n",
                    dry_run ? "would rewrite" : "rewrote", counted(plan.rewrites.size(), "file"),
                    dry_run ? "frees" : "freed", exact_size(saved));
  }
  if (plan.bytes_held > 0) text += held_lines(plan);
  return text;
}

class Prune : public Command {
 public:
  Prune()
      : Command("prune",
                "Delete the checkpoints that no rule keeps; one rule is enough to keep; without "
                "any, the store's policy decides",
                "ckptool prune ./store --keep-last 3 --keep-best 2:val/loss:min --dry-run\n"
                "ckptool prune ./store cnn-lr3 --keep-every 10e --keep-within 7d --trash 7d\n"
                "ckptool prune ./store") {}

 private:
  void declare() override {
    store_positional();
    positional("RUN", "Runs; left out: every run, each judged by itself", true);
    keep_.add_to(*app());
    option("--trash", "DURATION", trash_,
           "Keep what goes in the trash for 7d, 12h or 30m: ckptool undelete brings it back");
    flag("--empty-trash", options_.empty_trash,
         "What is in the trash goes now, in all runs; without a rule that is all that is done");
    flag("--exclusive", options_.exclusive,
         "Nobody else uses the store, on no host: needed on a network file system");
    flag("--dry-run,-n", dry_run_, "Show what would be done, and do nothing");
  }

  ExitCode run(Context& context) override {
    const KeepPolicy keep = keep_.policy();
    if (!trash_.empty()) {
      options_.trash_ns = parse_option("--trash", [&] { return parse_duration_ns(trash_); });
    }
    if (keep_.given() && keep.empty()) {
      throw Error(ErrorCode::invalid_argument,
                  "prune: no rule keeps anything, so everything would go; say what to keep, for "
                  "example --keep-last 3; a whole run is deleted with: ckptool rm STORE --run RUN");
    }
    constexpr std::size_t any_number = 1'000'000;
    const StoreArgument found = store_and_rest(context, 0, any_number, "");
    OpenedStore store(context, found.path);
    const bool only_trash = !keep_.given() && options_.empty_trash;
    const bool by_stored = !keep_.given() && !only_trash;
    const std::string by = by_stored ? stored_rules(store) : "";
    const PrunePlan plan = by_stored ? (dry_run_ ? store.plan_policy(found.rest, options_)
                                                 : store.apply_policy(found.rest, options_))
                                     : (dry_run_ ? store.plan_prune(keep, found.rest, options_)
                                                 : store.prune(keep, found.rest, options_));
    const std::string table = quiet() || only_trash ? "" : by + entries_table(plan);
    Json json = plan_json(plan, dry_run_);
    json["by_stored_policy"] = by_stored;
    print(context, json, table + summary_of(plan, dry_run_, options_.trash_ns > 0, only_trash));
    for (const std::string& note : plan.notes) complain(note);
    return plan.notes.empty() ? ExitCode::ok : ExitCode::partly_done;
  }

  // One line for each policy.
  static std::string stored_rules(const Store& store) {
    const StoredPolicies policies = store.policies();
    std::string text;
    if (policies.store) {
      text = fmt::format("by the store's policy: {}\n", keep_line(policies.store->keep));
    }
    for (const RunRecord& run : store.runs()) {
      const auto own = policies.runs.find(run.id);
      if (own == policies.runs.end()) continue;
      text += fmt::format("by the policy of {}: {}\n", printable(run.name),
                          keep_line(own->second.keep));
    }
    return text;
  }

  KeepOptions keep_;
  PruneOptions options_;
  std::string trash_;
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Command> make_prune() { return std::make_unique<Prune>(); }

}  // namespace ckp::tool

// ckptool stats: where the bytes of a store are.
#include "ckp/stats.h"

#include <fmt/format.h>

#include <algorithm>

#include "command.h"
#include "facts.h"
#include "render.h"
#include "stats_report.h"

namespace ckp::tool {
namespace {

std::string runs_text(const StoreStats& stats) {
  if (stats.runs.empty()) return "no runs\n";
  Table table({{"RUN"},
               {"CHECKPOINTS", Table::Align::right},
               {"RAW", Table::Align::right},
               {"SHARED", Table::Align::right},
               {"COMPRESSED", Table::Align::right},
               {"STORED", Table::Align::right},
               {"GARBAGE", Table::Align::right},
               {"ON DISK", Table::Align::right}});
  for (const RunStats& run : stats.runs) {
    table.add({printable(run.name), grouped(run.needed.checkpoints), human_size(run.needed.raw),
               human_size(run.needed.shared), human_size(run.needed.compressed),
               human_size(run.needed.stored), human_size(run.disk.garbage + run.disk.dead),
               human_size(run.disk.total())});
  }
  return table.text();
}

void add_if_any(Facts& facts, const char* name, std::uint64_t bytes) {
  if (bytes != 0) facts.emplace_back(name, exact_size(bytes));
}

std::string needed_text(const NeededBytes& needed) {
  Facts facts{{"  raw", exact_size(needed.raw)}, {"- shared", exact_size(needed.shared)}};
  add_if_any(facts, "- rounded from other tensors", needed.derived);
  add_if_any(facts, "+ filler between small tensors", needed.filler);
  add_if_any(facts, "+ changed rows of large tensors", needed.patches);
  facts.emplace_back("- compressed", exact_size(needed.compressed));
  add_if_any(facts, "- missing", needed.missing);
  facts.emplace_back("= stored", exact_size(needed.stored));
  return fmt::format("{} need {}:\n{}", counted(needed.checkpoints, "checkpoint"),
                     counted(needed.chunks, "chunk"), facts_text(facts, "  "));
}

std::string disk_text(const StoreStats& stats) {
  const DiskBytes& disk = stats.disk;
  Facts facts{{"stored", exact_size(disk.payload)},
              {"manifests", exact_size(disk.manifests)},
              {"headers", exact_size(disk.headers)},
              {"padding", exact_size(disk.padding)},
              {"journals", exact_size(disk.journals)}};
  add_if_any(facts, "index", stats.index);
  facts.emplace_back("garbage, freed by prune", exact_size(disk.garbage));
  add_if_any(facts, "in the trash", disk.trash);
  add_if_any(facts, "dead, in files that stay", disk.dead);
  add_if_any(facts, "saves in progress", disk.in_progress);
  add_if_any(facts, "unreadable", disk.unreadable);
  add_if_any(facts, "set aside", stats.set_aside);
  add_if_any(facts, "other", disk.other);
  facts.emplace_back("total", exact_size(stats.total()));
  return "on disk:\n" + facts_text(facts, "  ");
}

ExitCode worst_of(const std::vector<UnreadPart>& unread) {
  if (unread.empty()) return ExitCode::ok;
  const auto any = [&](ErrorCode code) {
    return std::any_of(unread.begin(), unread.end(),
                       [&](const UnreadPart& part) { return part.code == code; });
  };
  if (any(ErrorCode::corrupt)) return ExitCode::damage;
  return any(ErrorCode::newer_format) ? ExitCode::newer_format : ExitCode::partly_done;
}

class Stats : public Command {
 public:
  Stats()
      : Command("stats", "Show where the bytes of a store are, and what sharing has saved",
                "ckptool stats ./store\n"
                "ckptool stats ./store --json") {}

 private:
  void declare() override { store_positional(); }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 0, 0, "");
    const OpenedStore store(context, found.path);
    const StoreStats stats = store.stats();
    Json json{{"store", found.path.string()}};
    json.update(to_json(stats));
    print(context, json,
          runs_text(stats) + "\n" + needed_text(stats.needed) + "\n" + disk_text(stats));
    context.output.flush();
    for (const UnreadPart& part : stats.unread) {
      complain(
          fmt::format("run {}: not counted: {}", printable(part.run), printable(part.message)));
    }
    return worst_of(stats.unread);
  }
};

}  // namespace

std::unique_ptr<Command> make_stats() { return std::make_unique<Stats>(); }

}  // namespace ckp::tool

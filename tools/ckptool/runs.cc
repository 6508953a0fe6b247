// ckptool runs: the runs of a store.
#include <fmt/format.h>

#include "ckp/query.h"
#include "command.h"
#include "render.h"

namespace ckp::tool {
namespace {

// A run with what its checkpoints say.
struct Summary {
  RunRecord run;
  std::uint64_t checkpoints = 0;
  std::uint64_t size = 0;
  std::optional<CheckpointRecord> latest, best;
};

Summary summarize(const Store& store, RunRecord run) {
  const std::vector<CheckpointRecord> all = store.checkpoints(run.id);
  const std::vector<CheckpointRecord> line = current_line(run, all);
  Summary summary;
  summary.checkpoints = all.size();
  for (const CheckpointRecord& each : all) summary.size += each.file_size;
  if (!line.empty()) summary.latest = line.back();
  const auto direction = run.directions.find(run.best_metric);
  if (direction != run.directions.end()) {
    summary.best = best(line, run.best_metric, direction->second);
  }
  summary.run = std::move(run);
  return summary;
}

std::string best_text(const Summary& summary) {
  if (!summary.best.has_value()) return "-";
  const std::string& metric = summary.run.best_metric;
  return fmt::format("{} {}", printable(metric), number_text(summary.best->metrics.at(metric)));
}

Json summary_json(const Summary& summary) {
  Json json = to_json(summary.run);
  json["checkpoints"] = summary.checkpoints;
  json["size"] = summary.size;
  json["latest"] = summary.latest ? to_json(*summary.latest) : Json(nullptr);
  json["best"] = summary.best ? to_json(*summary.best) : Json(nullptr);
  return json;
}

class Runs : public Command {
 public:
  Runs() : Command("runs", "List the runs of a store", "ckptool runs ./store") {}

 private:
  void declare() override { store_positional(); }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 0, 0, "");
    const OpenedStore store(context, found.path);
    Json json = Json::array();
    Table table({{"RUN"},
                 {"ID"},
                 {"STATUS"},
                 {"ATTEMPTS", Table::Align::right},
                 {"CHECKPOINTS", Table::Align::right},
                 {"EPOCH", Table::Align::right},
                 {"STEP", Table::Align::right},
                 {"BEST"},
                 {"SIZE", Table::Align::right},
                 {"CREATED"}});
    for (RunRecord& record : store.runs()) {
      const Summary summary = summarize(store, std::move(record));
      json.push_back(summary_json(summary));
      add_row(table, summary);
    }
    const std::string text = table.empty() ? "no runs yet\n" : table.text();
    print(context, {{"store", found.path.string()}, {"runs", json}}, text);
    return ExitCode::ok;
  }

  static void add_row(Table& table, const Summary& summary) {
    const auto number = [&](std::int64_t CheckpointRecord::*field) {
      return summary.latest ? std::to_string((*summary.latest).*field) : std::string("-");
    };
    table.add({summary.run.name, summary.run.id.short_hex(),
               std::string(to_string(summary.run.status)),
               std::to_string(summary.run.attempts.size()), grouped(summary.checkpoints),
               number(&CheckpointRecord::epoch), number(&CheckpointRecord::step),
               best_text(summary), human_size(summary.size), local_time(summary.run.created_ns)});
  }
};

}  // namespace

std::unique_ptr<Command> make_runs() { return std::make_unique<Runs>(); }

}  // namespace ckp::tool

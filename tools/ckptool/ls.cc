// ckptool ls: the checkpoints of a run, or of all runs.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ckp/query.h"
#include "command.h"
#include "render.h"

namespace ckp::tool {
namespace {

struct Row {
  CheckpointRecord checkpoint;
  std::vector<std::string> flags;
};

// The checkpoints of one run in commit order: the current line, or all of them.
std::vector<Row> rows_of(const Store& store, const RunRecord& run, bool all) {
  const std::vector<CheckpointRecord> everything = store.checkpoints(run.id);
  const std::vector<CheckpointRecord> line = current_line(run, everything);
  std::set<Uuid> current;
  for (const CheckpointRecord& each : line) current.insert(each.id);
  std::optional<CheckpointRecord> winner;
  const auto direction = run.directions.find(run.best_metric);
  if (direction != run.directions.end()) winner = best(line, run.best_metric, direction->second);

  std::vector<Row> rows;
  for (const CheckpointRecord& each : all ? everything : line) {
    Row row{each, {}};
    if (winner.has_value() && winner->id == each.id) row.flags.emplace_back("best");
    if (each.final) row.flags.emplace_back("final");
    if (each.nonfinite) row.flags.emplace_back("nonfinite");
    if (each.mid_step()) row.flags.emplace_back("mid-step");
    if (each.salvaged_from.has_value()) {
      row.flags.emplace_back("salvaged");
    } else if (!current.contains(each.id)) {
      row.flags.emplace_back("superseded");
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

// The metrics that get a column: the declared ones first, then by name. JSON has all of them.
std::vector<std::string> metric_columns(const std::vector<RunRecord>& runs,
                                        const std::vector<Row>& rows) {
  constexpr std::size_t most = 5;
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    const bool known = std::find(names.begin(), names.end(), name) != names.end();
    if (!known && names.size() < most) names.push_back(name);
  };
  for (const RunRecord& run : runs) {
    if (!run.best_metric.empty()) add(run.best_metric);
  }
  for (const Row& row : rows) {
    for (const auto& metric : row.checkpoint.metrics) add(metric.first);
  }
  return names;
}

class Ls : public Command {
 public:
  Ls()
      : Command("ls", "List checkpoints",
                "ckptool ls ./store cnn-lr3\n"
                "ckptool ls ./store --all --json") {}

 private:
  void declare() override {
    store_positional();
    positional("RUN", "A run's name or the beginning of its id; left out: all runs");
    flag("--all,-a", all_, "Also what a resume from an earlier checkpoint left behind");
  }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 0, 1, "");
    const OpenedStore store(context, found.path);
    const std::vector<RunRecord> runs =
        found.rest.empty() ? store.runs() : std::vector<RunRecord>{store.run(found.rest[0])};
    std::vector<Row> rows;
    std::vector<std::string> missing;
    for (const RunRecord& run : runs) {
      for (Row& row : rows_of(store, run, all_)) rows.push_back(std::move(row));
      for (std::string& line : tell_missing(store, run)) missing.push_back(std::move(line));
    }
    print(context,
          {{"store", found.path.string()}, {"checkpoints", rows_json(rows)}, {"missing", missing}},
          text_of(runs, rows, found.rest.empty()));
    return ExitCode::ok;
  }

  static Json rows_json(const std::vector<Row>& rows) {
    Json json = Json::array();
    for (const Row& row : rows) {
      Json one = to_json(row.checkpoint);
      one["flags"] = row.flags;
      json.push_back(std::move(one));
    }
    return json;
  }

  static std::string text_of(const std::vector<RunRecord>& runs, const std::vector<Row>& rows,
                             bool name_runs) {
    if (rows.empty()) return "no checkpoints\n";
    const std::vector<std::string> metrics = metric_columns(runs, rows);
    std::vector<Table::Column> columns;
    if (name_runs) columns.push_back({"RUN"});
    columns.push_back({"CHECKPOINT"});
    columns.push_back({"EPOCH", Table::Align::right});
    columns.push_back({"STEP", Table::Align::right});
    for (const std::string& metric : metrics) {
      columns.push_back({printable(metric), Table::Align::right});
    }
    columns.push_back({"SIZE", Table::Align::right});
    columns.push_back({"TIME"});
    columns.push_back({"FLAGS"});
    Table table(std::move(columns));
    for (const Row& row : rows) table.add(cells_of(row, metrics, name_runs));
    return table.text();
  }

  static std::vector<std::string> cells_of(const Row& row, const std::vector<std::string>& metrics,
                                           bool name_runs) {
    const CheckpointRecord& each = row.checkpoint;
    std::vector<std::string> cells;
    if (name_runs) cells.push_back(each.run_name);
    cells.push_back(short_id(each.id));
    cells.push_back(std::to_string(each.epoch));
    cells.push_back(std::to_string(each.step));
    for (const std::string& metric : metrics) {
      const auto value = each.metrics.find(metric);
      cells.push_back(value == each.metrics.end() ? "-" : number_text(value->second));
    }
    cells.push_back(human_size(each.file_size));
    cells.push_back(local_time(each.created_ns));
    cells.push_back(join(row.flags));
    return cells;
  }

  bool all_ = false;
};

}  // namespace

std::unique_ptr<Command> make_ls() { return std::make_unique<Ls>(); }

}  // namespace ckp::tool

// ckptool ls: the checkpoints of a run, or of all runs.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "command.h"
#include "facts.h"
#include "render.h"
#include "search_options.h"
#include "trash_report.h"

namespace ckp::tool {
namespace {

// The metrics that get a column: the declared ones first, then by name. JSON has all of them.
std::vector<std::string> metric_columns(const std::vector<RunRecord>& runs,
                                        const std::vector<FoundCheckpoint>& rows) {
  constexpr std::size_t most = 5;
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    const bool known = std::find(names.begin(), names.end(), name) != names.end();
    if (!known && names.size() < most) names.push_back(name);
  };
  for (const RunRecord& run : runs) {
    if (!run.best_metric.empty()) add(run.best_metric);
  }
  for (const FoundCheckpoint& row : rows) {
    for (const auto& metric : row.checkpoint.metrics) add(metric.first);
  }
  return names;
}

void keep_found(std::vector<RunRecord>& runs, const std::vector<FoundCheckpoint>& rows) {
  std::set<Uuid> found;
  for (const FoundCheckpoint& row : rows) found.insert(row.checkpoint.run);
  std::erase_if(runs, [&](const RunRecord& run) { return !found.contains(run.id); });
}

class Ls : public Command {
 public:
  Ls()
      : Command("ls", "List checkpoints",
                "ckptool ls ./store cnn-lr3\n"
                "ckptool ls ./store --all --json\n"
                "ckptool ls ./store --where \"metrics.val/loss < 0.3 and time > now-7d\" "
                "--order-by metrics.val/loss --limit 20") {}

 private:
  void declare() override {
    store_positional();
    positional("RUN", "A run's name or the beginning of its id; left out: all runs");
    CLI::Option* const all =
        flag("--all,-a", all_, "Also what a resume from an earlier checkpoint left behind");
    options_.declare(*app());
    CLI::Option* const trash =
        flag("--trash", trash_, "Instead, what is in the trash: ckptool undelete brings it back");
    trash->excludes(all);
    for (const char* search : {"--where", "--order-by", "--limit", "--columns"}) {
      trash->excludes(app()->get_option(search));
    }
  }

  // Needs no index, and is no part of any search.
  ExitCode list_trash(Context& context, const StoreArgument& found, const Store& store) const {
    std::vector<TrashedCheckpoint> trash = store.trash();
    if (!found.rest.empty()) {
      const Uuid run = store.run(found.rest[0]).id;
      std::erase_if(trash, [&](const TrashedCheckpoint& one) { return one.checkpoint.run != run; });
    }
    print(context, {{"store", found.path.string()}, {"trash", to_json(trash)}}, trash_table(trash));
    return ExitCode::ok;
  }

  ExitCode run(Context& context) override {
    Search search = options_.search();
    search.superseded = all_;
    const StoreArgument found = store_and_rest(context, 0, 1, "");
    const OpenedStore store(context, found.path);
    if (trash_) return list_trash(context, found, store);
    search.runs = found.rest;
    std::vector<RunRecord> runs =
        found.rest.empty() ? store.runs() : std::vector<RunRecord>{store.run(found.rest[0])};
    const std::vector<FoundCheckpoint> rows = store.find_checkpoints(search);
    if (rows.empty()) tell_unknown_names(store, search.where, Scope::checkpoints);
    // Looking for lost files takes a listing of each run: a filter over the whole store does it for
    // the runs that it found.
    if (found.rest.empty() && options_.has_where()) keep_found(runs, rows);
    std::vector<std::string> missing;
    for (const RunRecord& run : runs) {
      for (std::string& line : tell_missing(store, run)) missing.push_back(std::move(line));
    }
    print(context,
          {{"store", found.path.string()},
           {"checkpoints", rows_json(rows, search.columns)},
           {"missing", missing}},
          text_of(runs, rows, search.columns, found.rest.empty()));
    return ExitCode::ok;
  }

  static Json rows_json(const std::vector<FoundCheckpoint>& rows, const std::vector<Key>& columns) {
    Json json = Json::array();
    for (const FoundCheckpoint& row : rows) {
      Json one = to_json(row.checkpoint);
      one["flags"] = flags_of(row);
      if (!columns.empty()) one["columns"] = columns_json(columns, row.values);
      json.push_back(std::move(one));
    }
    return json;
  }

  std::string text_of(const std::vector<RunRecord>& runs, const std::vector<FoundCheckpoint>& rows,
                      const std::vector<Key>& keys, bool name_runs) const {
    if (rows.empty()) return options_.has_where() ? "no checkpoint matches\n" : "no checkpoints\n";
    std::vector<Table::Column> columns;
    if (name_runs) columns.push_back({"RUN"});
    columns.push_back({"CHECKPOINT"});
    if (!keys.empty()) {
      for (const Key& key : keys) columns.push_back({printable(key.text)});
      Table table(std::move(columns));
      for (const FoundCheckpoint& row : rows) table.add(column_cells(row, keys, name_runs));
      return table.text();
    }
    const std::vector<std::string> metrics = metric_columns(runs, rows);
    columns.push_back({"EPOCH", Table::Align::right});
    columns.push_back({"STEP", Table::Align::right});
    for (const std::string& metric : metrics) {
      columns.push_back({printable(metric), Table::Align::right});
    }
    columns.push_back({"SIZE", Table::Align::right});
    columns.push_back({"TIME"});
    columns.push_back({"FLAGS"});
    Table table(std::move(columns));
    for (const FoundCheckpoint& row : rows) table.add(cells_of(row, metrics, name_runs));
    return table.text();
  }

  static std::vector<std::string> column_cells(const FoundCheckpoint& row,
                                               const std::vector<Key>& keys, bool name_runs) {
    std::vector<std::string> cells;
    if (name_runs) cells.push_back(row.checkpoint.run_name);
    cells.push_back(short_id(row.checkpoint.id));
    for (std::size_t i = 0; i < keys.size(); ++i) {
      cells.push_back(column_text(keys[i], row.values[i]));
    }
    return cells;
  }

  static std::vector<std::string> cells_of(const FoundCheckpoint& row,
                                           const std::vector<std::string>& metrics,
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
    cells.push_back(join(flags_of(row)));
    return cells;
  }

  SearchOptions options_;
  bool all_ = false, trash_ = false;
};

}  // namespace

std::unique_ptr<Command> make_ls() { return std::make_unique<Ls>(); }

}  // namespace ckp::tool

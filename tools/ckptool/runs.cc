// ckptool runs: the runs of a store.
#include <fmt/format.h>

#include "command.h"
#include "render.h"
#include "run_groups.h"
#include "search_options.h"

namespace ckp::tool {
namespace {

std::string best_text(const FoundRun& found) {
  if (!found.best.has_value()) return "-";
  const std::string& metric = found.run.best_metric;
  return fmt::format("{} {}", printable(metric), number_text(found.best->metrics.at(metric)));
}

Json run_json(const FoundRun& found, const std::vector<Key>& columns) {
  Json json = to_json(found.run);
  json["checkpoints"] = found.checkpoints;
  json["size"] = found.size;
  json["latest"] = found.latest ? to_json(*found.latest) : Json(nullptr);
  json["best"] = found.best ? to_json(*found.best) : Json(nullptr);
  if (!columns.empty()) json["columns"] = columns_json(columns, found.values);
  return json;
}

Table table_of(const std::vector<Key>& columns) {
  if (columns.empty()) {
    return Table({{"RUN"},
                  {"ID"},
                  {"STATUS"},
                  {"ATTEMPTS", Table::Align::right},
                  {"CHECKPOINTS", Table::Align::right},
                  {"EPOCH", Table::Align::right},
                  {"STEP", Table::Align::right},
                  {"BEST"},
                  {"SIZE", Table::Align::right},
                  {"CREATED"}});
  }
  std::vector<Table::Column> headings{{"RUN"}};
  for (const Key& key : columns) headings.push_back({printable(key.text)});
  return Table(std::move(headings));
}

std::vector<std::string> usual_cells(const FoundRun& found) {
  const auto number = [&](std::int64_t CheckpointRecord::*field) {
    return found.latest ? std::to_string((*found.latest).*field) : std::string("-");
  };
  return {found.run.name,
          found.run.id.short_hex(),
          std::string(to_string(found.run.status)),
          std::to_string(found.run.attempts.size()),
          grouped(found.checkpoints),
          number(&CheckpointRecord::epoch),
          number(&CheckpointRecord::step),
          best_text(found),
          human_size(found.size),
          local_time(found.run.created_ns)};
}

std::vector<std::string> column_cells(const FoundRun& found, const std::vector<Key>& columns) {
  std::vector<std::string> cells{found.run.name};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    cells.push_back(column_text(columns[i], found.values[i]));
  }
  return cells;
}

class Runs : public Command {
 public:
  Runs()
      : Command("runs", "List the runs of a store",
                "ckptool runs ./store\n"
                "ckptool runs ./store --where \"params.lr < 0.01 and tags.team = 'ranking'\" "
                "--order-by metrics.val/loss:min --limit 10 --columns params.lr,metrics.val/loss\n"
                "ckptool runs ./store --group-by tags.user --sum duration_hours") {}

 private:
  void declare() override {
    store_positional();
    options_.declare(*app());
    CLI::Option* const group =
        option("--group-by", "KEY", group_by_, "A line for each value of it");
    for (const char* other : {"--order-by", "--limit", "--columns"}) {
      group->excludes(app()->get_option(other));
    }
    options("--sum", "KEY", sums_, "Add this up in each group; may be repeated")->needs(group);
  }

  ExitCode run(Context& context) override {
    Search search = options_.search();
    const bool grouped_runs = app()->get_option("--group-by")->count() > 0;
    if (grouped_runs) search.columns = group_columns(group_by_, sums_);
    const StoreArgument found = store_and_rest(context, 0, 0, "");
    const OpenedStore store(context, found.path);
    const std::vector<FoundRun> runs = store.find_runs(search);
    if (runs.empty()) tell_unknown_names(store, search.where, Scope::runs);
    const std::string none = options_.has_where() ? "no run matches\n" : "no runs yet\n";
    if (grouped_runs) {
      const RunGroups groups(search.columns, runs);
      print(context, {{"store", found.path.string()}, {"groups", groups.json()}},
            runs.empty() ? none : groups.text());
      return ExitCode::ok;
    }
    Json json = Json::array();
    Table table = table_of(search.columns);
    for (const FoundRun& one : runs) {
      json.push_back(run_json(one, search.columns));
      table.add(search.columns.empty() ? usual_cells(one) : column_cells(one, search.columns));
    }
    print(context, {{"store", found.path.string()}, {"runs", json}},
          table.empty() ? none : table.text());
    return ExitCode::ok;
  }

  SearchOptions options_;
  std::string group_by_;
  std::vector<std::string> sums_;
};

}  // namespace

std::unique_ptr<Command> make_runs() { return std::make_unique<Runs>(); }

}  // namespace ckp::tool

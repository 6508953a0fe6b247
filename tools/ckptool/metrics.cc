// ckptool metrics: what a run has logged.
#include <fmt/format.h>

#include <set>

#include "command.h"
#include "metric_names.h"
#include "render.h"

namespace ckp::tool {
namespace {

// RFC 4180.
std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

class Metrics : public Command {
 public:
  Metrics()
      : Command("metrics", "Print the metric series of a run",
                "ckptool metrics ./store cnn-lr3\n"
                "ckptool metrics ./store cnn-lr3 val/loss --csv > loss.csv") {}

 private:
  void declare() override {
    store_positional();
    positional("RUN", "A run's name or the beginning of its id");
    positional("NAME", "Metrics to print; left out: all", true);
    flag("--all,-a", all_, "Also what a resume from an earlier checkpoint left behind");
    flag("--csv", csv_, "Comma-separated values, numbers with all their digits");
  }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 1, SIZE_MAX, "RUN");
    const OpenedStore store(context, found.path);
    const RunRecord record = store.run(found.rest[0]);
    const MetricNames wanted({found.rest.begin() + 1, found.rest.end()});
    MetricFollower follower = store.follow(record);
    std::vector<MetricPoint> points = follower.read();
    if (!all_) points = current_points(record, store.checkpoints(record.id), std::move(points));
    tell_missing(store, record);
    tell_unread(store, follower);
    wanted.check(record, points);
    wanted.keep(points);
    if (csv_ && !json()) {
      print_csv(context, points);
    } else {
      print(context, json_of(found.path.string(), record, points), text_of(points));
    }
    return ExitCode::ok;
  }

  static std::set<std::string> names_in(const std::vector<MetricPoint>& points) {
    std::set<std::string> names;
    for (const MetricPoint& point : points) {
      for (const auto& value : point.values) names.insert(value.first);
    }
    return names;
  }

  static void print_csv(Context& context, const std::vector<MetricPoint>& points) {
    const std::set<std::string> names = names_in(points);
    std::string line = "attempt,epoch,step,time";
    for (const std::string& name : names) line += "," + csv_cell(name);
    context.output.text(line + "\n");
    for (const MetricPoint& point : points) {
      line = fmt::format("{},{},{},{}", point.attempt, point.epoch, point.step,
                         iso_time(point.time_ns));
      for (const std::string& name : names) {
        const auto value = point.values.find(name);
        line += value == point.values.end() ? "," : fmt::format(",{}", value->second);
      }
      context.output.text(line + "\n");
    }
  }

  static Json json_of(const std::string& store, const RunRecord& run,
                      const std::vector<MetricPoint>& points) {
    Json list = Json::array();
    for (const MetricPoint& point : points) list.push_back(point_json(point));
    return {{"store", store}, {"run", run.name}, {"points", list}};
  }

  static std::string text_of(const std::vector<MetricPoint>& points) {
    if (points.empty()) return "no metrics\n";
    const std::set<std::string> names = names_in(points);
    std::vector<Table::Column> columns{{"ATTEMPT", Table::Align::right},
                                       {"EPOCH", Table::Align::right},
                                       {"STEP", Table::Align::right}};
    for (const std::string& name : names) {
      columns.push_back({printable(name), Table::Align::right});
    }
    columns.push_back({"TIME"});
    Table table(std::move(columns));
    for (const MetricPoint& point : points) {
      std::vector<std::string> cells{std::to_string(point.attempt), std::to_string(point.epoch),
                                     std::to_string(point.step)};
      for (const std::string& name : names) {
        const auto value = point.values.find(name);
        cells.push_back(value == point.values.end() ? "-" : number_text(value->second));
      }
      cells.push_back(local_time(point.time_ns));
      table.add(std::move(cells));
    }
    return table.text();
  }

  bool all_ = false, csv_ = false;
};

}  // namespace

std::unique_ptr<Command> make_metrics() { return std::make_unique<Metrics>(); }

}  // namespace ckp::tool

// ckptool tail: the last points that a run has logged, and those to come.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <optional>

#include "command.h"
#include "interrupt.h"
#include "metric_names.h"
#include "render.h"

namespace ckp::tool {
namespace {

constexpr int milliseconds_between_looks = 500;

std::string point_line(const MetricPoint& point) {
  std::string line =
      fmt::format("{}  epoch {}  step {}", local_time(point.time_ns), point.epoch, point.step);
  for (const auto& [name, value] : point.values) {
    line += fmt::format("  {} {}", printable(name), number_text(value));
  }
  return line + "\n";
}

class Tail : public Command {
 public:
  Tail()
      : Command("tail",
                "Print the last points that a run has logged; with -f also those to come, until "
                "it ends or Ctrl-C; with -f --json one JSON document a line",
                "ckptool tail ./store cnn-lr3\n"
                "ckptool tail -f ./store cnn-lr3 val/loss") {}

 private:
  void declare() override {
    store_positional();
    positional("RUN", "A run's name or the beginning of its id");
    positional("NAME", "Metrics to print; left out: all", true);
    flag("--follow,-f", follow_, "Go on printing as the run logs");
    app()
        ->add_option("--lines,-n", lines_, "So many of the points that are there (10)")
        ->type_name("N");
  }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 1, SIZE_MAX, "RUN");
    const OpenedStore store(context, found.path);
    RunRecord record = store.run(found.rest[0]);
    const MetricNames wanted({found.rest.begin() + 1, found.rest.end()});
    MetricFollower follower = store.follow(record);
    std::vector<MetricPoint> points =
        current_points(record, store.checkpoints(record.id), follower.read());
    tell_missing(store, record);
    tell_unread(store, follower);
    if (!follow_ || record.status != RunStatus::in_progress) {
      wanted.check(record, points);
    } else if (const std::string names = wanted.not_yet(points); !names.empty()) {
      complain(
          fmt::format("note: run {} has no metric {}; waiting", printable(record.name), names));
    }
    wanted.keep(points);
    const std::size_t shown = std::min<std::size_t>(points.size(), lines_.value_or(10));
    points.erase(points.begin(), points.end() - static_cast<std::ptrdiff_t>(shown));
    if (follow_) return follow(context, store, record, wanted, follower, std::move(points));
    print_last(context, found.path.string(), record, points);
    return ExitCode::ok;
  }

  void print_last(Context& context, const std::string& store, const RunRecord& record,
                  const std::vector<MetricPoint>& points) const {
    Json list = Json::array();
    std::string text = points.empty() ? "no metrics\n" : "";
    for (const MetricPoint& point : points) {
      list.push_back(point_json(point));
      text += point_line(point);
    }
    print(context, {{"store", store}, {"run", record.name}, {"points", list}}, text);
  }

  ExitCode follow(Context& context, const Store& store, RunRecord& record,
                  const MetricNames& wanted, MetricFollower& follower,
                  std::vector<MetricPoint> points) const {
    const Interrupt interrupt;
    while (true) {
      for (const MetricPoint& point : points) {
        context.output.text(json() ? point_json(point).dump() + "\n" : point_line(point));
      }
      if (!context.output.flush() || context.output.closed()) return ExitCode::ok;
      if (interrupt.raised()) return ExitCode::interrupted;
      const bool ended = record.status != RunStatus::in_progress;
      if (!ended) {
        ::poll(nullptr, 0, milliseconds_between_looks);  // a signal ends it
        record = store.run(record.id.hex());
      }
      // Read after the status: what was logged before the end is there then.
      points = follower.read();
      wanted.keep(points);
      if (ended && points.empty()) break;
    }
    if (!quiet()) {
      complain(fmt::format("run {}: {}", printable(record.name), to_string(record.status)));
    }
    return ExitCode::ok;
  }

  bool follow_ = false;
  std::optional<std::uint64_t> lines_;
};

}  // namespace

std::unique_ptr<Command> make_tail() { return std::make_unique<Tail>(); }

}  // namespace ckp::tool

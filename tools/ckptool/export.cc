// ckptool export: all that a store knows of a run, but for the tensors.
#include "command.h"
#include "run_text.h"

namespace ckp::tool {
namespace {

// Raised when a key changes its meaning or goes away; new keys may come at any time.
constexpr int export_version = 1;

Json checkpoints_json(const RunHistory& history) {
  Json list = Json::array();
  for (const CheckpointRecord& one : history.checkpoints()) {
    Json json = to_json(one);
    json["superseded"] = !history.on_line(one);
    json["best"] = history.best() != nullptr && history.best()->id == one.id;
    list.push_back(std::move(json));
  }
  return list;
}

Json series_json(const RunRecord& run, const RunHistory& history,
                 const std::vector<MetricPoint>& points) {
  const std::vector<CheckpointRecord> checkpoints(history.checkpoints().begin(),
                                                  history.checkpoints().end());
  const std::vector<MetricPoint> current = current_points(run, checkpoints, points);
  Json list = Json::array(), all = Json::array();
  for (const MetricPoint& point : current) list.push_back(point_json(point));
  for (const MetricPoint& point : points) all.push_back(point_json(point));
  return {{"current", list}, {"all", all}};
}

class Export : public Command {
 public:
  Export()
      : Command("export",
                "Print everything about a run but its tensors as one JSON document: record, "
                "attempts, checkpoints, metrics, source diffs",
                "ckptool export ./store cnn-lr3 > cnn-lr3.json") {}

 private:
  void declare() override {
    store_positional();
    positional("RUN", "A run's name or the beginning of its id");
  }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 1, 1, "RUN");
    const OpenedStore store(context, found.path);
    const RunRecord record = store.run(found.rest[0]);
    tell_missing(store, record);
    const RunHistory history(record, store.checkpoints(record.id));
    MetricFollower follower = store.follow(record);
    const std::vector<MetricPoint> points = follower.read();
    tell_unread(store, follower);
    Json diffs = Json::object();
    for (const Attempt& attempt : record.attempts) {
      if (auto diff = store.source_diff(record, attempt.number)) {
        diffs[std::to_string(attempt.number)] = std::move(*diff);
      }
    }
    context.output.text(document({{"export_version", export_version},
                                  {"run", history_json(history)},
                                  {"checkpoints", checkpoints_json(history)},
                                  {"metrics", series_json(record, history, points)},
                                  {"source_diffs", diffs}}));
    return ExitCode::ok;
  }
};

}  // namespace

std::unique_ptr<Command> make_export() { return std::make_unique<Export>(); }

}  // namespace ckp::tool

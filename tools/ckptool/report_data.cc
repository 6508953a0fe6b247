#include "report_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "alias_report.h"
#include "ckp/metrics.h"
#include "ckp/search.h"
#include "downsample.h"
#include "facts.h"
#include "render.h"
#include "stats_report.h"

namespace ckp::tool {
namespace {

// Of all series together, and of one: a page of this size opens at once.
constexpr std::size_t points_of_page = 400'000;
constexpr std::size_t most_points = 3'000;
constexpr std::size_t fewest_points = 300;

std::int64_t milliseconds(std::int64_t ns) { return ns / 1'000'000; }

// Nine digits: more than a curve shows, and half the bytes.
Json chart_number(double value) {
  if (!std::isfinite(value)) return to_json(value);
  return std::strtod(fmt::format("{:.9g}", value).c_str(), nullptr);
}

Json rows_json(const Value::Map& values) {
  Json rows = Json::array();
  for (const auto& [name, value] : flatten(values)) rows.push_back({name, value});
  return rows;
}

Json points_json(const std::vector<SeriesPoint>& points) {
  Json step = Json::array(), epoch = Json::array(), value = Json::array();
  for (const SeriesPoint& point : points) {
    step.push_back(point.step);
    epoch.push_back(point.epoch);
    value.push_back(chart_number(point.value));
  }
  return {{"step", step}, {"epoch", epoch}, {"value", value}};
}

void sort_into(const std::vector<MetricPoint>& points,
               std::map<std::string, std::vector<SeriesPoint>>& series) {
  for (const MetricPoint& point : points) {
    for (const auto& [name, value] : point.values) {
      series[name].push_back({point.epoch, point.step, value});
    }
  }
}

// What of `all` is not in `current`, which is in the same order.
std::vector<SeriesPoint> left_behind(const std::vector<SeriesPoint>& all,
                                     const std::vector<SeriesPoint>& current) {
  const auto same = [](const SeriesPoint& a, const SeriesPoint& b) {
    return a.epoch == b.epoch && a.step == b.step &&
           std::bit_cast<std::uint64_t>(a.value) == std::bit_cast<std::uint64_t>(b.value);
  };
  std::vector<SeriesPoint> left;
  auto next = current.begin();
  for (const SeriesPoint& point : all) {
    if (next != current.end() && same(point, *next)) {
      ++next;
    } else {
      left.push_back(point);
    }
  }
  return left;
}

class Collector {
 public:
  Collector(const Store& store, ReportData& data) : store_(store), data_(data) {}

  void collect(const std::string& name, std::int64_t now_ns) {
    collect_runs();
    collect_aliases();
    Json& json = data_.json;
    json = {{"version", CKP_VERSION},      {"made", milliseconds(now_ns)}, {"store", name},
            {"uuid", store_.uuid().hex()}, {"runs", run_array()},          {"aliases", aliases_},
            {"storage", storage()}};
    json["unread"] = data_.unread;
  }

 private:
  // Runs `read`; what it cannot read is named, and the rest of the page is made.
  template <class Read>
  void try_to(const std::string& what, const Read& read) {
    try {
      read();
    } catch (const Error& error) {
      data_.unread.push_back(fmt::format("{}: {}", what, error.what()));
    }
  }

  void collect_runs() {
    Search search;
    search.columns = {Key::parse("attributes.duration_hours")};
    runs_ = store_.find_runs(search);
    data_.runs = runs_.size();
    search = {};
    search.superseded = true;
    for (FoundCheckpoint& found : store_.find_checkpoints(search)) {
      run_of_[found.checkpoint.id] = found.checkpoint.run_name;
      checkpoints_[found.checkpoint.run].push_back(std::move(found));
      ++data_.checkpoints;
    }
    for (const FoundRun& found : runs_) {
      const std::string what = "run " + found.run.name;
      try_to(what, [&] {
        for (const std::string& line : store_.missing(found.run)) unread(what, line);
      });
      try_to(what, [&] { add_series(found.run); });
    }
  }

  void unread(const std::string& what, const std::string& line) {
    data_.unread.push_back(fmt::format("{}: {}", what, line));
  }

  // Thinned out at once to the most that one may have: the whole is in memory for one run only.
  void add_series(const RunRecord& run) {
    MetricFollower follower = store_.follow(run);
    std::vector<MetricPoint> points = follower.read();
    for (const std::string& line : follower.unread()) unread("run " + run.name, line);
    std::map<std::string, std::vector<SeriesPoint>> all, current;
    for (const MetricPoint& point : points) {
      first_of_.try_emplace({run.id, point.attempt}, SeriesPoint{point.epoch, point.step, 0});
    }
    sort_into(points, all);
    sort_into(current_points(run, records_of(run.id), std::move(points)), current);
    for (const auto& [name, series] : all) {
      const auto left = left_behind(series, current[name]);
      data_.points += series.size();
      series_[run.id].push_back({name, series.size(), downsample(current[name], most_points),
                                 downsample(left, most_points)});
      ++series_count_;
    }
  }

  std::vector<CheckpointRecord> records_of(const Uuid& run) {
    std::vector<CheckpointRecord> records;
    for (const FoundCheckpoint& found : checkpoints_[run]) records.push_back(found.checkpoint);
    return records;
  }

  void collect_aliases() {
    Json current = Json::array(), history = Json::array();
    try_to("aliases", [&] {
      const std::vector<AliasChange> changes = store_.alias_history();
      for (const auto& [name, change] : current_aliases(changes)) {
        current.push_back(alias_json(change));
        if (change.to) aliases_of_[*change.to].push_back(name);
      }
      for (const AliasChange& change : changes) history.push_back(alias_json(change));
    });
    aliases_ = {{"current", current}, {"history", history}};
  }

  Json alias_json(const AliasChange& change) const {
    Json json = to_json(change);
    json["time"] = milliseconds(change.time_ns);
    json["metadata"] = rows_json(change.metadata);
    for (const auto& [key, id] : {std::pair("from", change.from), std::pair("to", change.to)}) {
      if (!id) continue;
      const auto run = run_of_.find(*id);
      json[key] = {{"id", short_id(*id)}, {"gone", run == run_of_.end()}};
      if (run != run_of_.end()) json[key]["run"] = run->second;
    }
    return json;
  }

  Json run_array() {
    const std::size_t most = std::clamp(points_of_page / std::max<std::size_t>(series_count_, 1),
                                        fewest_points, most_points);
    Json runs = Json::array();
    for (const FoundRun& found : runs_) runs.push_back(run_json(found, most));
    return runs;
  }

  Json run_json(const FoundRun& found, std::size_t most) {
    const RunRecord& run = found.run;
    Json json{{"name", run.name},
              {"id", short_id(run.id)},
              {"status", to_string(run.status)},
              {"experiment", run.experiment},
              {"started", milliseconds(run.created_ns)},
              {"hours", to_json(found.values.at(0))},
              {"size", found.size},
              {"best_metric", run.best_metric},
              {"best", nullptr},
              {"tags", rows_json(run.tags)},
              {"notes", notes_json(run.later)},
              {"parameters", rows_json(run.parameters_in())},
              {"environment", rows_json(run.environment_in())}};
    if (found.best) {
      const double value = found.best->metrics.at(run.best_metric);
      json["best"] = {{"value", to_json(value)},
                      {"id", short_id(found.best->id)},
                      {"step", found.best->step},
                      {"epoch", found.best->epoch}};
    }
    json["directions"] = Json::object();
    for (const auto& [metric, better] : run.directions) {
      json["directions"][metric] = better == Better::lower ? "min" : "max";
    }
    json["attempts"] = attempts_json(run);
    json["checkpoints"] = checkpoints_json(run.id);
    json["series"] = series_json(run.id, most);
    return json;
  }

  static Json notes_json(const std::vector<LaterFact>& later) {
    Json rows = Json::array();
    for (const LaterFact& note : later) {
      rows.push_back({iso_time(note.time_ns), value_text(note.value)});
    }
    return rows;
  }

  Json attempts_json(const RunRecord& run) const {
    Json attempts = Json::array();
    for (const Attempt& attempt : run.attempts) {
      Json json{{"number", attempt.number},
                {"started", milliseconds(attempt.started_ns)},
                {"host", attempt.host}};
      if (attempt.continued_from) {
        json["from"] = {{"id", short_id(*attempt.continued_from)},
                        {"attempt", attempt.continued_attempt},
                        {"gone", !run_of_.contains(*attempt.continued_from)}};
      }
      if (const auto first = first_of_.find({run.id, attempt.number}); first != first_of_.end()) {
        json["first"] = {{"step", first->second.step}, {"epoch", first->second.epoch}};
      }
      attempts.push_back(std::move(json));
    }
    return attempts;
  }

  Json checkpoints_json(const Uuid& run) {
    Json list = Json::array();
    for (const FoundCheckpoint& found : checkpoints_[run]) {
      const CheckpointRecord& each = found.checkpoint;
      Json metrics = Json::array();
      for (const auto& [name, value] : each.metrics) metrics.push_back({name, to_json(value)});
      Json json{{"id", short_id(each.id)},
                {"epoch", each.epoch},
                {"step", each.step},
                {"attempt", each.attempt},
                {"time", milliseconds(each.created_ns)},
                {"size", each.file_size},
                {"flags", flags_of(found)},
                {"metrics", metrics}};
      if (const auto at = aliases_of_.find(each.id); at != aliases_of_.end()) {
        json["aliases"] = at->second;
      }
      if (!each.tags.empty()) json["tags"] = rows_json(each.tags);
      list.push_back(std::move(json));
    }
    return list;
  }

  Json series_json(const Uuid& run, std::size_t most) {
    Json list = Json::array();
    for (const Series& series : series_[run]) {
      const auto points = downsample(series.points, most);
      const auto left = downsample(series.left_behind, most / 3);
      data_.points_shown += points.size() + left.size();
      Json json = points_json(points);
      json["name"] = series.name;
      json["logged"] = series.logged;
      json["shown"] = points.size() + left.size();
      if (!left.empty()) json["superseded"] = points_json(left);
      list.push_back(std::move(json));
    }
    return list;
  }

  Json storage() {
    Json json;
    try_to("storage", [&] {
      const StoreStats stats = store_.stats();
      for (const UnreadPart& part : stats.unread) {
        unread("run " + part.run, "not counted: " + part.message);
      }
      json = to_json(stats);
      json.erase("unread");
    });
    return json;
  }

  struct Series {
    std::string name;
    std::size_t logged = 0;
    std::vector<SeriesPoint> points, left_behind;
  };

  const Store& store_;
  ReportData& data_;
  std::vector<FoundRun> runs_;
  std::map<Uuid, std::vector<FoundCheckpoint>> checkpoints_;
  std::map<Uuid, std::string> run_of_;  // of the checkpoints that are there
  std::map<Uuid, std::vector<std::string>> aliases_of_;
  std::map<Uuid, std::vector<Series>> series_;
  std::map<std::pair<Uuid, std::uint32_t>, SeriesPoint> first_of_;  // of an attempt
  std::size_t series_count_ = 0;
  Json aliases_;
};

}  // namespace

ReportData collect_report(const Store& store, const std::string& name, std::int64_t now_ns) {
  ReportData data;
  Collector(store, data).collect(name, now_ns);
  return data;
}

}  // namespace ckp::tool

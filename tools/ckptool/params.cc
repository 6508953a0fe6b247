// ckptool params: which values the parameters had, and how far the runs with them came.
#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <tuple>

#include "command.h"
#include "render.h"
#include "search_options.h"

namespace ckp::tool {
namespace {

// The best value of one metric, and whose it is.
struct BestResult {
  double value = 0;
  std::string run;
};

// A metric with the direction it is judged by: runs may declare different ones.
using Judge = std::pair<std::string, Better>;

struct ValueSummary {
  std::string text;
  std::uint64_t runs = 0;
  std::map<Judge, BestResult> best;
};

// Values in the order of numbers, other text behind them.
using ValueOrder = std::tuple<bool, double, std::string>;

ValueOrder order_of(const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const bool is_number = !text.empty() && *end == '\0' && number == number;
  return {!is_number, is_number ? number : 0, text};
}

using Summaries = std::map<std::string, std::map<ValueOrder, ValueSummary>>;

struct RunResult {
  Judge judge;
  double value = 0;
};

void add_run(Summaries& all, const RunRecord& run, const std::optional<RunResult>& result) {
  for (const auto& [name, text] : flatten(run.parameters_in())) {
    ValueSummary& summary = all[name][order_of(text)];
    summary.text = text;
    ++summary.runs;
    if (!result) continue;
    const auto [at, first] =
        summary.best.try_emplace(result->judge, BestResult{result->value, run.name});
    const double before = at->second.value;
    const bool better =
        result->judge.second == Better::lower ? result->value < before : result->value > before;
    if (!first && better) at->second = {result->value, run.name};
  }
}

std::string_view spell(Better better) { return better == Better::lower ? "min" : "max"; }

Json best_json(const std::map<Judge, BestResult>& best) {
  Json json = Json::array();
  for (const auto& [judge, result] : best) {
    json.push_back({{"metric", judge.first},
                    {"better", spell(judge.second)},
                    {"value", to_json(result.value)},
                    {"run", result.run}});
  }
  return json;
}

std::string results_text(const std::map<Judge, BestResult>& best) {
  std::vector<std::string> parts;
  for (const auto& [judge, result] : best) {
    parts.push_back(
        fmt::format("{} {} ({})", printable(judge.first), number_text(result.value), result.run));
  }
  return parts.empty() ? "-" : join(parts);
}

// NAME[:min|max].
struct MetricOption {
  std::string name;
  std::optional<Better> better;

  static MetricOption parse(const std::string& text) {
    if (text.ends_with(":min")) return {text.substr(0, text.size() - 4), Better::lower};
    if (text.ends_with(":max")) return {text.substr(0, text.size() - 4), Better::higher};
    return {text, std::nullopt};
  }
};

class Params : public Command {
 public:
  Params()
      : Command("params", "Show the values of each parameter with their runs and best results",
                "ckptool params ./store\n"
                "ckptool params ./store --where \"tags.team = 'ranking'\" --metric "
                "val/accuracy:max") {}

 private:
  void declare() override {
    store_positional();
    options_.declare_where(*app());
    option("--metric", "NAME[:min|max]", metric_,
           "Judge runs by this metric; left out: by the one that each declared as its best");
  }

  ExitCode run(Context& context) override {
    Search search = options_.search();
    const MetricOption metric = MetricOption::parse(metric_);
    if (!metric.name.empty()) search.columns = extremes_of(metric.name);
    const StoreArgument found = store_and_rest(context, 0, 0, "");
    const OpenedStore store(context, found.path);
    Summaries all;
    std::uint64_t runs = 0;
    for (const FoundRun& one : store.find_runs(search)) {
      ++runs;
      add_run(all, one.run, metric.name.empty() ? declared_result(one) : result_by(metric, one));
    }
    if (runs == 0) tell_unknown_names(store, search.where, Scope::runs);
    print(context, json_of(found.path.string(), runs, all), text_of(runs, all));
    return ExitCode::ok;
  }

  static std::vector<Key> extremes_of(const std::string& metric) {
    Key key;
    key.kind = Key::Kind::metric;
    key.name = metric;
    key.pick = RunHistory::Pick::min;
    std::vector<Key> both{key, key};
    both.back().pick = RunHistory::Pick::max;
    return both;
  }

  static std::optional<RunResult> declared_result(const FoundRun& found) {
    if (!found.best) return std::nullopt;
    const std::string& metric = found.run.best_metric;
    return RunResult{{metric, found.run.directions.at(metric)}, found.best->metrics.at(metric)};
  }

  static std::optional<RunResult> result_by(const MetricOption& metric, const FoundRun& found) {
    if (found.values.front().is_null()) return std::nullopt;  // has no value of it
    const auto declared = found.run.directions.find(metric.name);
    if (!metric.better && declared == found.run.directions.end()) {
      throw Error(
          ErrorCode::invalid_argument,
          fmt::format("run {} does not declare whether a lower or a higher {} is better; "
                      "say --metric {}:min or :max",
                      printable(found.run.name), printable(metric.name), printable(metric.name)));
    }
    const Better better = metric.better ? *metric.better : declared->second;
    const Value& value = better == Better::lower ? found.values.front() : found.values.back();
    return RunResult{{metric.name, better}, value.as_double()};
  }

  static Json json_of(const std::string& store, std::uint64_t runs, const Summaries& all) {
    Json parameters = Json::array();
    for (const auto& [name, values] : all) {
      Json list = Json::array();
      for (const auto& [order, one] : values) {
        list.push_back({{"value", one.text}, {"runs", one.runs}, {"best", best_json(one.best)}});
      }
      parameters.push_back({{"name", name}, {"values", list}});
    }
    return {{"store", store}, {"runs", runs}, {"parameters", parameters}};
  }

  std::string text_of(std::uint64_t runs, const Summaries& all) const {
    if (runs == 0) return options_.has_where() ? "no run matches\n" : "no runs yet\n";
    if (all.empty()) return "no parameters\n";
    Table table({{"PARAMETER"}, {"VALUE"}, {"RUNS", Table::Align::right}, {"BEST"}});
    for (const auto& [name, values] : all) {
      for (const auto& [order, one] : values) {
        table.add({name, one.text, grouped(one.runs), results_text(one.best)});
      }
    }
    return table.text();
  }

  SearchOptions options_;
  std::string metric_;
};

}  // namespace

std::unique_ptr<Command> make_params() { return std::make_unique<Params>(); }

}  // namespace ckp::tool

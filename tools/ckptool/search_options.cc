#include "search_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ckp/clock.h"
#include "ckp/closest_name.h"
#include "output.h"
#include "render.h"

namespace ckp::tool {
namespace {

// A time as its nanoseconds; nothing for any other value.
const std::int64_t* time_in(const Key& key, const Value& value) {
  return key.is_time() ? value.get_if<std::int64_t>() : nullptr;
}

void add_names(const Value::Map& values, std::set<std::string>& names) {
  for (const auto& [name, value] : flatten(values)) names.insert(name);
}

// Of this kind, in all runs.
std::set<std::string> names_of(Key::Kind kind, const std::vector<FoundRun>& runs) {
  std::set<std::string> names;
  for (const FoundRun& one : runs) {
    if (kind == Key::Kind::parameter) add_names(one.run.parameters_in(), names);
    if (kind == Key::Kind::data) add_names(one.run.data_in(), names);
    if (kind == Key::Kind::environment) add_names(one.run.environment_in(), names);
    if (kind == Key::Kind::tag) add_names(one.run.tags, names);
    if (kind != Key::Kind::metric || !one.latest) continue;
    for (const auto& metric : one.latest->metrics) names.insert(metric.first);
  }
  return names;
}

std::string all_attributes_text() {
  std::vector<std::string> names;
  for (const AttributeName& one : attribute_names()) names.emplace_back(one.name);
  return join(names, " ");
}

}  // namespace

void SearchOptions::declare_where(CLI::App& app) {
  where_option_ =
      app.add_option(
             "--where", where_,
             "Only those for which this is true: comparisons (= != < <= > >= in, like, ilike, "
             "is null) of params.NAME, tags.NAME, metrics.NAME[.min|.max|.last], data.NAME, "
             "env.NAME and attributes, joined by and, or, not. Attributes: " +
                 all_attributes_text())
          ->type_name("EXPR");
}

void SearchOptions::declare(CLI::App& app) {
  declare_where(app);
  app.add_option("--order-by", order_,
                 "Sort by this, what lacks it last; min is asc, and ranks runs by their lowest "
                 "value, max likewise; may be repeated")
      ->type_name("KEY[:min|max|asc|desc]")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  CLI::Validator positive = CLI::PositiveNumber;  // -1 would be read as a very large number
  positive.description("");
  app.add_option("--limit", limit_, "At most so many")->type_name("N")->check(positive);
  columns_option_ = app.add_option("--columns", columns_,
                                   "Show these, as in params.lr,metrics.val/loss.min,status")
                        ->type_name("KEY,...");
}

Search SearchOptions::search() const {
  Search search;
  if (has_where()) {
    const std::int64_t now_ns = system_clock()->now_ns();
    search.where = parse_option("--where", [&] { return Filter::parse(where_, now_ns); });
  }
  for (const std::string& text : order_) {
    search.order.push_back(parse_option("--order-by", [&] { return Order::parse(text); }));
  }
  if (limit_) search.limit = *limit_;
  if (columns_option_ != nullptr && columns_option_->count() > 0) {
    search.columns = parse_option("--columns", [&] { return Key::parse_list(columns_); });
  }
  return search;
}

void tell_unknown_names(const Store& store, const Filter& where, Scope scope) {
  Search everything;
  for (Key& key : where.keys()) {
    // A checkpoint may have tags that its run lacks.
    const bool of_checkpoint = key.kind == Key::Kind::tag && scope == Scope::checkpoints;
    if (key.kind == Key::Kind::attribute || of_checkpoint) continue;
    if (key.kind == Key::Kind::metric) key.pick = RunHistory::Pick::last;
    everything.columns.push_back(std::move(key));
  }
  if (everything.columns.empty()) return;
  const std::vector<FoundRun> runs = store.find_runs(everything);
  for (std::size_t i = 0; i < everything.columns.size(); ++i) {
    const Key& key = everything.columns[i];
    if (std::any_of(runs.begin(), runs.end(),
                    [&](const FoundRun& run) { return !run.values[i].is_null(); })) {
      continue;
    }
    const std::set<std::string> names = names_of(key.kind, runs);
    ClosestName closest(key.name);
    for (const std::string& name : names) closest.offer(name);
    const std::string hint =
        closest.best().empty() ? "" : fmt::format("; did you mean {}?", printable(closest.best()));
    complain(fmt::format("note: no run has {}{}", printable(key.text), hint));
  }
}

std::string column_text(const Key& key, const Value& value) {
  if (value.is_null()) return "-";
  if (const std::int64_t* ns = time_in(key, value)) return local_time(*ns);
  if (const double* number = value.get_if<double>()) return number_text(*number);
  return value_text(value);
}

Json column_json(const Key& key, const Value& value) {
  if (const std::int64_t* ns = time_in(key, value)) return iso_time(*ns);
  return to_json(value);
}

Json columns_json(const std::vector<Key>& keys, const std::vector<Value>& values) {
  Json json = Json::object();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    json[keys[i].text] = column_json(keys[i], values[i]);
  }
  return json;
}

}  // namespace ckp::tool

#include "run_groups.h"

#include <algorithm>

#include "render.h"
#include "search_options.h"

namespace ckp::tool {
namespace {

// Whole numbers stay whole as long as they fit.
void add_to(Value& sum, const Value& value) {
  if (!value.is_number()) return;
  const std::int64_t* const a = sum.get_if<std::int64_t>();
  const std::int64_t* const b = value.get_if<std::int64_t>();
  std::int64_t whole = 0;
  if (sum.is_null()) {
    sum = value;
  } else if (a != nullptr && b != nullptr && !__builtin_add_overflow(*a, *b, &whole)) {
    sum = whole;
  } else {
    sum = sum.as_double() + value.as_double();
  }
}

}  // namespace

std::vector<Key> group_columns(const std::string& group_by, const std::vector<std::string>& sums) {
  std::vector<Key> columns{parse_option("--group-by", [&] { return Key::parse(group_by); })};
  for (const std::string& text : sums) {
    columns.push_back(parse_option("--sum", [&] { return Key::parse(text); }));
    if (!columns.back().is_time()) continue;
    throw Error(ErrorCode::invalid_argument,
                "--sum: " + text + " is a time; times cannot be added up, duration_hours can");
  }
  return columns;
}

RunGroups::RunGroups(const std::vector<Key>& columns, const std::vector<FoundRun>& runs)
    : columns_(columns) {
  for (const FoundRun& run : runs) {
    const Value& value = run.values.front();
    auto group = std::find_if(groups_.begin(), groups_.end(),
                              [&](const Group& one) { return one.value == value; });
    if (group == groups_.end()) {
      group = groups_.insert(group, {value, 0, std::vector<Value>(columns.size() - 1)});
    }
    ++group->runs;
    for (std::size_t i = 1; i < columns.size(); ++i) add_to(group->sums[i - 1], run.values[i]);
  }
  std::stable_partition(groups_.begin(), groups_.end(),
                        [](const Group& one) { return !one.value.is_null(); });
}

Json RunGroups::json() const {
  const std::vector<Key> summed(columns_.begin() + 1, columns_.end());
  Json json = Json::array();
  for (const Group& one : groups_) {
    json.push_back({{"value", column_json(columns_.front(), one.value)},
                    {"runs", one.runs},
                    {"sums", columns_json(summed, one.sums)}});
  }
  return json;
}

std::string RunGroups::text() const {
  std::vector<Table::Column> headings{{printable(columns_.front().text)},
                                      {"RUNS", Table::Align::right}};
  for (std::size_t i = 1; i < columns_.size(); ++i) {
    headings.push_back({printable(columns_[i].text), Table::Align::right});
  }
  Table table(std::move(headings));
  for (const Group& one : groups_) {
    std::vector<std::string> cells{column_text(columns_.front(), one.value), grouped(one.runs)};
    for (std::size_t i = 0; i < one.sums.size(); ++i) {
      cells.push_back(column_text(columns_[i + 1], one.sums[i]));
    }
    table.add(std::move(cells));
  }
  return table.text();
}

}  // namespace ckp::tool

// --where, --order-by, --limit and --columns, and what their columns look like.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ckp/error.h"
#include "ckp/search.h"
#include "ckp/store.h"
#include "json.h"

namespace ckp::tool {

class SearchOptions {
 public:
  // --where alone, or all four.
  void declare_where(CLI::App& app);
  void declare(CLI::App& app);

  // Also when it is empty, which is an error: a script's variable was not set.
  bool has_where() const { return where_option_->count() > 0; }
  // What was asked for. An Error names its option.
  Search search() const;

 private:
  std::string where_, columns_;
  CLI::Option* where_option_ = nullptr;
  CLI::Option* columns_option_ = nullptr;
  std::vector<std::string> order_;
  std::optional<std::uint64_t> limit_;
};

// Runs `parse`, and puts the option's name before the error it throws.
template <class Parse>
auto parse_option(const std::string& option, Parse parse) {
  try {
    return parse();
  } catch (const Error& error) {
    throw Error(error.code(), option + ": " + error.what());
  }
}

// When nothing was found: says on standard error which names of the filter no run has, and the
// closest that one has.
void tell_unknown_names(const Store& store, const Filter& where, Scope scope);

// One cell: numbers as in other tables, times local, "-" for what is missing.
std::string column_text(const Key& key, const Value& value);
// Times as ISO 8601.
Json column_json(const Key& key, const Value& value);
// {"params.lr": 0.001, ...}
Json columns_json(const std::vector<Key>& keys, const std::vector<Value>& values);

}  // namespace ckp::tool

// How values look on a terminal: sizes, numbers, plain values, aligned tables.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ckp/records.h"
#include "ckp/shell_word.h"
#include "ckp/value.h"

namespace ckp::tool {

// "1.5 MiB"; "817 B" below a KiB.
std::string human_size(std::uint64_t bytes);
// "1,234,567".
std::string grouped(std::uint64_t number);
// "1.5 MiB (1,572,864 bytes)"; "817 bytes" below a KiB.
std::string exact_size(std::uint64_t bytes);
// "1 run", "2 runs".
std::string counted(std::uint64_t count, std::string_view noun);
// Six significant digits; "nan", "inf", "-inf".
std::string number_text(double value);
// "[64, 1, 3, 3]".
std::string shape_text(const std::vector<std::int64_t>& shape);
// One line; strings stand as they are, bytes as their length.
std::string value_text(const Value& value);
// Control characters as \xNN: text from a file must not steer the terminal.
std::string printable(std::string_view text);

// The first eight digits of an id, or as many more as it takes until one is a letter: digits alone
// would be read as an epoch in an address.
std::string short_id(const Uuid& id);
// "cnn@9c0e11d2", or the short id alone for a file that belongs to no run.
std::string address_text(const CheckpointRecord& checkpoint);
std::string join(const std::vector<std::string>& parts, std::string_view separator = ", ");

// Nested maps as rows "progress/epoch" -> "3", in order.
std::vector<std::pair<std::string, std::string>> flatten(const Value::Map& values);

// Columns of text under headings, padded so that they stand below each other.
class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string heading;
    Align align = Align::left;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as columns.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Two columns without headings: what it is, and its value.
std::string facts_text(const std::vector<std::pair<std::string, std::string>>& facts,
                       std::string_view indent = "");

}  // namespace ckp::tool

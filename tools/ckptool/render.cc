#include "render.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace ckp::tool {
namespace {

// Characters, not bytes: continuation bytes of UTF-8 take no place.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}

void append_cell(std::string& line, const std::string& cell, std::size_t width,
                 Table::Align align) {
  const std::string padding(width - std::min(width, width_of(cell)), ' ');
  line += align == Table::Align::right ? padding + cell : cell + padding;
}

void trim_end(std::string& line) { line.erase(line.find_last_not_of(' ') + 1); }

std::string list_text(const Value::List& list) {
  constexpr std::size_t shown = 8;
  std::string text = "[";
  for (std::size_t i = 0; i < std::min(shown, list.size()); ++i) {
    text += (i == 0 ? "" : ", ") + value_text(list[i]);
  }
  if (list.size() > shown) text += fmt::format(", ... {} in all", list.size());
  return text + "]";
}

void flatten_into(const Value::Map& values, const std::string& prefix,
                  std::vector<std::pair<std::string, std::string>>& out) {
  for (const auto& [key, value] : values) {
    const Value::Map* map = value.get_if<Value::Map>();
    if (map != nullptr && !map->empty()) {
      flatten_into(*map, prefix + key + "/", out);
    } else {
      out.emplace_back(printable(prefix + key), value_text(value));
    }
  }
}

}  // namespace

std::string human_size(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // 1023.95 would be printed as 1024.0.
  while (value >= 1023.95 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string exact_size(std::uint64_t bytes) {
  if (bytes < 1024) return counted(bytes, "byte");
  return fmt::format("{} ({} bytes)", human_size(bytes), grouped(bytes));
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", grouped(count), noun, count == 1 ? "" : "s");
}

std::string number_text(double value) { return fmt::format("{:.6g}", value); }

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string value_text(const Value& value) {
  if (value.is_null()) return "null";
  if (const bool* flag = value.get_if<bool>()) return *flag ? "true" : "false";
  if (const std::int64_t* number = value.get_if<std::int64_t>()) return std::to_string(*number);
  if (const double* number = value.get_if<double>()) return fmt::format("{}", *number);
  if (const std::string* text = value.get_if<std::string>()) return printable(*text);
  if (const Value::Bytes* bytes = value.get_if<Value::Bytes>()) {
    return fmt::format("<{}>", counted(bytes->size(), "byte"));
  }
  if (const Value::List* list = value.get_if<Value::List>()) return list_text(*list);
  return "{}";
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

std::string short_id(const Uuid& id) {
  const std::string hex = id.hex();
  const std::size_t letter = hex.find_first_of("abcdef");
  return letter == std::string::npos ? hex : hex.substr(0, std::max<std::size_t>(8, letter + 1));
}

std::string address_text(const CheckpointRecord& checkpoint) {
  if (checkpoint.run_name.empty()) return short_id(checkpoint.id);
  return checkpoint.run_name + "@" + short_id(checkpoint.id);
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

std::vector<std::pair<std::string, std::string>> flatten(const Value::Map& values) {
  std::vector<std::pair<std::string, std::string>> rows;
  flatten_into(values, "", rows);
  return rows;
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(width_of(column.heading));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  const auto add_line = [&](auto cell_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (i != 0) line += "  ";
      append_cell(line, cell_of(i), widths[i], columns_[i].align);
    }
    trim_end(line);
    out += line + "\n";
  };
  add_line([&](std::size_t i) { return columns_[i].heading; });
  for (const auto& row : rows_) add_line([&](std::size_t i) { return row[i]; });
  return out;
}

std::string facts_text(const std::vector<std::pair<std::string, std::string>>& facts,
                       std::string_view indent) {
  std::size_t width = 0;
  for (const auto& fact : facts) width = std::max(width, width_of(fact.first));
  std::string out;
  for (const auto& [name, value] : facts) {
    std::string line(indent);
    append_cell(line, name, width + 2, Table::Align::left);
    line += value;
    trim_end(line);
    out += line + "\n";
  }
  return out;
}

}  // namespace ckp::tool

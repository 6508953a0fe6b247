#include "ckp/libtorch/restore_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>

namespace ckp::libtorch {
namespace {

using Json = nlohmann::ordered_json;

// "model (14 tensors), optimizer (24 tensors), progress": names counted by their part, in order.
void print_parts(std::ostream& out, const std::vector<std::string>& names) {
  if (names.empty()) {
    out << "none";
    return;
  }
  std::vector<std::pair<std::string, std::size_t>> parts;
  for (const std::string& name : names) {
    auto slash = name.find('/');
    std::string part = name.substr(0, slash);
    auto place = std::find_if(parts.begin(), parts.end(),
                              [&](const auto& known) { return known.first == part; });
    if (place == parts.end()) place = parts.insert(place, {part, 0});
    if (slash != std::string::npos) ++place->second;
  }
  const char* separator = "";
  for (const auto& [part, tensors] : parts) {
    out << separator << part;
    if (tensors > 0) out << " (" << tensors << (tensors == 1 ? " tensor)" : " tensors)");
    separator = ", ";
  }
}

// JSON has no NaN and no infinity: those become strings.
Json json_of(const Value& value) {
  if (const bool* flag = value.get_if<bool>()) return *flag;
  if (const std::int64_t* integer = value.get_if<std::int64_t>()) return *integer;
  if (const std::string* text = value.get_if<std::string>()) return *text;
  if (const double* number = value.get_if<double>()) {
    return std::isfinite(*number) ? Json(*number) : Json(fmt::format("{}", *number));
  }
  if (const Value::List* list = value.get_if<Value::List>()) {
    Json array = Json::array();
    for (const Value& item : *list) array.push_back(json_of(item));
    return array;
  }
  return nullptr;  // nothing else is compared
}

std::string text_of(const Value& value) {
  if (const std::string* text = value.get_if<std::string>()) return *text;
  if (const double* number = value.get_if<double>()) return fmt::format("{}", *number);
  return json_of(value).dump();
}

}  // namespace

bool RestoreReport::exact() const {
  return missing.empty() && ignored.empty() && converted.empty() &&
         std::none_of(differences.begin(), differences.end(),
                      [](const Difference& one) { return one.changes_results; });
}

std::ostream& operator<<(std::ostream& out, const Difference& difference) {
  const std::string program = text_of(difference.program);
  const std::string checkpoint = text_of(difference.checkpoint);
  const bool keeps_program = difference.kept == Difference::Kept::program;
  return out << difference.name << ": program " << program << ", checkpoint " << checkpoint
             << ", kept " << (keeps_program ? program : checkpoint);
}

std::ostream& operator<<(std::ostream& out, const RestoreReport& report) {
  out << "restored: ";
  print_parts(out, report.restored);
  out << "; missing: ";
  print_parts(out, report.missing);
  out << "; ignored: ";
  print_parts(out, report.ignored);
  for (const std::string& text : report.converted) out << "\n  converted: " << text;
  for (const Difference& difference : report.differences) out << "\n  " << difference;
  return out;
}

std::string to_json(const RestoreReport& report) {
  Json differences = Json::array();
  for (const Difference& one : report.differences) {
    differences.push_back(
        {{"name", one.name},
         {"program", json_of(one.program)},
         {"checkpoint", json_of(one.checkpoint)},
         {"kept", one.kept == Difference::Kept::program ? "program" : "checkpoint"},
         {"changes_results", one.changes_results}});
  }
  return Json{{"exact", report.exact()},       {"restored", report.restored},
              {"missing", report.missing},     {"ignored", report.ignored},
              {"converted", report.converted}, {"differences", std::move(differences)}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ckp::libtorch

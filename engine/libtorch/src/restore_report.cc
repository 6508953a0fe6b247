#include "ckp/libtorch/restore_report.h"

#include <algorithm>
#include <ostream>

namespace ckp::libtorch {
namespace {

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

}  // namespace

std::ostream& operator<<(std::ostream& out, const RestoreReport& report) {
  out << "restored: ";
  print_parts(out, report.restored);
  out << "; missing: ";
  print_parts(out, report.missing);
  out << "; ignored: ";
  print_parts(out, report.ignored);
  return out;
}

}  // namespace ckp::libtorch

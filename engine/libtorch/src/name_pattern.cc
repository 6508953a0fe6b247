#include "name_pattern.h"

namespace ckp::libtorch {

bool name_fits(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern.front() != '*') {
    return !name.empty() && name.front() == pattern.front() &&
           name_fits(pattern.substr(1), name.substr(1));
  }
  for (;;) {
    if (name_fits(pattern.substr(1), name)) return true;
    if (name.empty() || name.front() == '/') return false;
    name.remove_prefix(1);
  }
}

}  // namespace ckp::libtorch

// What the page of `ckptool report` shows, as one JSON document.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ckp/store.h"
#include "json.h"

namespace ckp::tool {

struct ReportData {
  Json json;
  std::uint64_t runs = 0, checkpoints = 0;
  std::uint64_t points = 0, points_shown = 0;  // of all metric series
  // What could not be read and is not on the page, one line each.
  std::vector<std::string> unread;
};

// `name`: what the page calls the store. The same store gives the same document, but for the time
// at which it was made, `now_ns`.
ReportData collect_report(const Store& store, const std::string& name, std::int64_t now_ns);

}  // namespace ckp::tool

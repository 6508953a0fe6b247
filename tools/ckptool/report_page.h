// The HTML page of `ckptool report`: one file that needs no other.
#pragma once

#include <string>
#include <string_view>

#include "json.h"

namespace ckp::tool {

// The page with `data` in it. Text in `data` can end neither a script nor a line of one.
std::string report_page(const Json& data);

// Whether a file that begins like this was made by report_page, of any version.
bool is_report_page(std::string_view beginning);
constexpr std::size_t report_page_beginning = 256;  // bytes that is_report_page wants

// The files below report/ and Chart.js, which the build puts into the program
// (report/embed.cmake).
std::string_view report_asset(std::string_view name);

}  // namespace ckp::tool

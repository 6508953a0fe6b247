#include "report_page.h"

#include <stdexcept>

namespace ckp::tool {
namespace {

constexpr std::string_view generator = "<meta name=\"generator\" content=\"ckptool ";

// JSON that may stand inside <script>: no '<', which could end it or begin a comment, and none of
// the two line ends that are allowed in JSON only.
std::string script_text(const Json& data) {
  const std::string json = data.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string text;
  text.reserve(json.size() + json.size() / 64);
  for (std::size_t i = 0; i < json.size(); ++i) {
    const std::string_view rest = std::string_view(json).substr(i);
    if (rest[0] == '<') {
      text += "\\u003c";
    } else if (rest[0] == '>') {
      text += "\\u003e";
    } else if (rest[0] == '&') {
      text += "\\u0026";
    } else if (rest.starts_with("\u2028") || rest.starts_with("\u2029")) {
      text += rest.starts_with("\u2028") ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      text += rest[0];
    }
  }
  return text;
}

std::string content_of(std::string_view name, const Json& data) {
  if (name == "data") return script_text(data);
  if (name == "version") return CKP_VERSION;
  return std::string(report_asset(name));
}

}  // namespace

std::string report_page(const Json& data) {
  constexpr std::string_view opening = "{{", closing = "}}";
  std::string page;
  std::string_view rest = report_asset("page.html");
  for (;;) {
    const std::size_t begin = rest.find(opening);
    page += rest.substr(0, begin);
    if (begin == std::string_view::npos) return page;
    const std::size_t end = rest.find(closing, begin);
    if (end == std::string_view::npos) throw std::logic_error("page.html: {{ without }}");
    page += content_of(rest.substr(begin + 2, end - begin - 2), data);
    rest.remove_prefix(end + closing.size());
  }
}

bool is_report_page(std::string_view beginning) {
  return beginning.find(generator) != std::string_view::npos;
}

}  // namespace ckp::tool

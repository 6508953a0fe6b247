#include "ckp/shell_word.h"

#include <algorithm>

namespace ckp {

std::string shell_word(std::string_view text) {
  constexpr std::string_view plain = "-_./@:,+%=";
  const bool safe = !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || plain.find(c) != std::string_view::npos;
  });
  if (safe) return std::string(text);
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace ckp

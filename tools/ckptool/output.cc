#include "output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace ckp::tool {

void Output::text(std::string_view text) {
  constexpr std::size_t piece = 1 << 16;
  pending_ += text;
  if (pending_.size() >= piece) flush();
}

bool Output::flush() {
  std::string_view rest = pending_;
  while (!rest.empty() && !closed_ && !failed_) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EPIPE) {
      closed_ = true;
    } else if (errno != EINTR) {
      failed_ = true;
    }
  }
  pending_.clear();
  return !failed_;
}

void complain(std::string_view message) {
  std::fprintf(stderr, "ckptool: %.*s\n", static_cast<int>(message.size()), message.data());
}

}  // namespace ckp::tool

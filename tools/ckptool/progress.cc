#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "render.h"

namespace ckp::tool {
namespace {

std::string duration_text(double seconds) {
  if (seconds < 60) return fmt::format("{:.0f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(seconds);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace

std::string progress_text(const std::string& what, std::uint64_t done, std::uint64_t total,
                          double seconds) {
  std::string text = fmt::format("{} {} of {}", what, human_size(done), human_size(total));
  if (total > 0) text += fmt::format("  {} %", done * 100 / total);
  if (seconds > 0.1 && done > 0) {
    const double rate = static_cast<double>(done) / seconds;
    text += fmt::format("  {}/s", human_size(static_cast<std::uint64_t>(rate)));
    if (done < total) {
      text += fmt::format("  {} left", duration_text(static_cast<double>(total - done) / rate));
    }
  }
  return text;
}

Progress::Progress(std::string what, bool quiet)
    : what_(std::move(what)),
      shown_(!quiet && ::isatty(STDERR_FILENO) == 1),
      started_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

void Progress::update(std::uint64_t bytes_done, std::uint64_t bytes_total) {
  if (!shown_) return;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started_;
  const std::string text = progress_text(what_, bytes_done, bytes_total, elapsed.count());
  std::fprintf(stderr, "\r%s\033[K", text.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace ckp::tool

// One line on standard error that is rewritten in place: done, total, rate, remaining time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace ckp::tool {

// Prints only when standard error is a terminal and nobody asked for quiet. Erases its line when
// it is destroyed.
class Progress {
 public:
  Progress(std::string what, bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(std::uint64_t bytes_done, std::uint64_t bytes_total);

 private:
  std::string what_;
  bool shown_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point started_;
};

// "verify 1.0 GiB of 4.0 GiB  25 %  512.0 MiB/s  6 s left".
std::string progress_text(const std::string& what, std::uint64_t done, std::uint64_t total,
                          double seconds);

}  // namespace ckp::tool

// Signals that ask a training to stop.
#pragma once

#include <csignal>
#include <string>
#include <vector>

namespace ckp::libtorch {

// While it lives, the first SIGINT, SIGTERM or SIGUSR1 (which batch systems send ahead of time)
// only sets a flag and gives the signal back to whoever had it before: a second Ctrl-C ends the
// process at once. A signal that was ignored before, as nohup does, stays ignored. The handlers are
// the process's: one object at a time, Error(invalid_argument) for a second one.
class StopSignals {
 public:
  explicit StopSignals(const std::vector<int>& signals = {SIGINT, SIGTERM, SIGUSR1});
  ~StopSignals();  // gives back what has not come
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // The first signal that came, or 0.
  int raised() const;
};

// "SIGTERM".
std::string signal_name(int signal);

}  // namespace ckp::libtorch

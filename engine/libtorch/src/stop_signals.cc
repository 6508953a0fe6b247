#include "ckp/libtorch/stop_signals.h"

#include <array>
#include <cstring>

#include "ckp/error.h"

namespace ckp::libtorch {
namespace {

// A handler can reach nothing else.
struct Former {
  int signal = 0;  // 0: free
  struct sigaction action {};
};
std::array<Former, 8> formers;
volatile std::sig_atomic_t first_signal = 0;
bool in_use = false;

void note_signal(int signal) {
  if (first_signal == 0) first_signal = signal;
  for (const Former& former : formers) {
    if (former.signal == signal) sigaction(signal, &former.action, nullptr);
  }
}

bool take(int signal, Former& former) {
  if (sigaction(signal, nullptr, &former.action) != 0) return false;
  if (former.action.sa_handler == SIG_IGN) return false;
  former.signal = signal;  // before the handler can run
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;  // reading data goes on
  sigemptyset(&action.sa_mask);
  return sigaction(signal, &action, nullptr) == 0;
}

}  // namespace

StopSignals::StopSignals(const std::vector<int>& signals) {
  if (in_use) {
    throw Error(ErrorCode::invalid_argument,
                "stop signals: another object has the process's signal handlers already");
  }
  if (signals.size() > formers.size()) {
    throw Error(ErrorCode::invalid_argument, "stop signals: at most 8 signals");
  }
  in_use = true;
  first_signal = 0;
  for (std::size_t i = 0; i < signals.size(); ++i) {
    if (!take(signals[i], formers[i])) formers[i].signal = 0;
  }
}

StopSignals::~StopSignals() {
  for (Former& former : formers) {
    if (former.signal != 0) sigaction(former.signal, &former.action, nullptr);
    former.signal = 0;
  }
  in_use = false;
}

int StopSignals::raised() const { return first_signal; }

std::string signal_name(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? std::to_string(signal) : std::string("SIG") + name;
}

}  // namespace ckp::libtorch

#include "ckp/error.h"
#include "io/host.h"
#include "save/save_state.h"

namespace ckp {

PendingSave::State::State() : creator_pid(process_id()) {}

void PendingSave::State::finish(std::exception_ptr failure) noexcept {
  error = std::move(failure);
  {
    const std::lock_guard lock(mutex);
    holds_memory = false;
    done.store(true, std::memory_order_release);
  }
  ended.notify_all();
}

void PendingSave::State::let_go_of_memory() noexcept {
  {
    const std::lock_guard lock(mutex);
    holds_memory = false;
  }
  ended.notify_all();
}

void PendingSave::State::wait_copied() noexcept {
  if (process_id() != creator_pid) return;
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return !holds_memory; });
}

void PendingSave::State::wait() {
  if (is_done()) return;
  if (process_id() != creator_pid) {
    throw Error(ErrorCode::invalid_argument,
                "a save cannot be waited for in a process that was forked while it was under way; "
                "the process that began it goes on with it");
  }
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return is_done(); });
}

std::exception_ptr PendingSave::State::take_error() {
  if (!is_done() || error == nullptr || reported.exchange(true)) return nullptr;
  return error;
}

PendingSave::PendingSave(std::shared_ptr<State> state) : state_(std::move(state)) {}
PendingSave::PendingSave(PendingSave&&) noexcept = default;
PendingSave& PendingSave::operator=(PendingSave&&) noexcept = default;
PendingSave::~PendingSave() = default;

bool PendingSave::done() const { return state_->is_done(); }
bool PendingSave::skipped() const { return state_->is_done() && state_->report.skipped; }

void PendingSave::wait_copied() const noexcept { state_->wait_copied(); }

const SaveReport& PendingSave::wait() {
  state_->wait();
  if (state_->error) {
    state_->reported = true;
    std::rethrow_exception(state_->error);
  }
  return state_->report;
}

}  // namespace ckp

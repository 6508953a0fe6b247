#include "ckp/libtorch/training_loop.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "ckp/metrics.h"
#include "ckp/query.h"
#include "loop_address.h"
#include "loop_impl.h"
#include "loop_record.h"

namespace ckp::libtorch {
namespace {

// Refuses before the run's record says that somebody has gone on from there.
void check_first(const Store& store, const RunRecord& run, const std::optional<Address>& from,
                 const TrainingState& state, const RestoreOptions& options) {
  std::optional<CheckpointRecord> checkpoint;
  const auto all = store.checkpoints(run.id);
  checkpoint = from ? resolve(*from, run, all, store.path().string())
                    : newest_resumable(current_line(run, all));
  if (!checkpoint) return;
  std::optional<Checkpoint> open;
  try {
    open = store.open_checkpoint(*checkpoint);
  } catch (const Error& error) {
    const bool lost = error.code() == ErrorCode::corrupt || error.code() == ErrorCode::not_found;
    if (from || !lost) throw;
    return;  // resume_run steps back to one that is there and undamaged
  }
  state.check(*open, options);
}

// The step that the newest attempt had begun when its process died, going by what it logged: one
// more than the last. 0 when it did not die, or logged nothing.
std::int64_t step_begun(const Store& store, const RunRecord& run) {
  if (run.status != RunStatus::interrupted || run.attempts.empty()) return 0;
  std::int64_t begun = 0;
  for (const MetricPoint& point : store.metrics(run, Superseded::included)) {
    if (point.attempt == run.attempts.back().number) begun = std::max(begun, point.step + 1);
  }
  return begun;
}

[[noreturn]] void throw_nothing_there(const std::string& run, const char* what) {
  throw Error(ErrorCode::not_found,
              fmt::format("resume {}: {}, and the program asks to go on from one", run, what));
}

}  // namespace

TrainingLoop::TrainingLoop(const std::filesystem::path& store, const std::string& run,
                           const TrainingState& state, const LoopOptions& options)
    : TrainingLoop(Store::open_or_create(store), run, state, options) {}

TrainingLoop::TrainingLoop(Store store, const std::string& run, const TrainingState& state,
                           const LoopOptions& options)
    : impl_(std::make_unique<Impl>(std::move(store), run, state, options)) {}

TrainingLoop::~TrainingLoop() = default;

ResumeReport TrainingLoop::resume(Resume how, const ResumeOptions& options) {
  if (impl_->run) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("resume {}: the run is open already; resume comes first, and once",
                            impl_->run_name));
  }
  ResumeReport report{impl_->run_name, std::nullopt, {}, 0, {}};
  const bool must = how != Resume::if_present || !options.from.empty();
  const auto known = find_run(impl_->store, impl_->run_name);
  if (!known) {
    if (must) throw_nothing_there(impl_->run_name, "the store has no such run");
    impl_->open_run();
    return report;
  }
  RestoreOptions restore;
  restore.exact = how == Resume::exact;
  restore.keep_constructed = options.keep_constructed;
  restore.devices = options.devices;
  const auto from = address_in(impl_->store, *known, options.from);
  const AttemptOptions attempt = attempt_options(impl_->options, impl_->state);
  if (const auto code = code_version(attempt.environment)) impl_->state.fact("git_commit", *code);
  const std::int64_t begun = step_begun(impl_->store, *known);
  check_first(impl_->store, *known, from, impl_->state, restore);
  Run run = impl_->store.resume_run(known->id.hex(), from, attempt);
  report.skipped = run.skipped();
  if (run.continued_from()) {
    report.from = run.continued_from()->record();
    if (begun > report.from->step + 1) report.died_in_step = begun;
    report.restored = impl_->state.restore(*run.continued_from(), restore);
  } else if (must) {
    throw_nothing_there(impl_->run_name, "the run has no checkpoint that can be resumed");
  }
  impl_->run.emplace(std::move(run));
  return report;
}

EpochRange TrainingLoop::epochs(std::int64_t count) { return EpochRange(*impl_, count); }

void TrainingLoop::before_step() { impl_->before_step(); }

void TrainingLoop::step(const Metrics& metrics) { impl_->took_step(metrics); }

void TrainingLoop::attach(const std::filesystem::path& file, const std::string& name) {
  impl_->saver.attach({name.empty() ? file.filename().string() : name, file});
}

void TrainingLoop::finish() { impl_->finish(); }

BestReport TrainingLoop::restore_best() {
  const BestRule& rule = impl_->options.best;
  if (rule.metric.empty()) {
    throw Error(ErrorCode::invalid_argument,
                "restore_best: the loop has no best metric, as in .best = {\"val/loss\"}");
  }
  impl_->saver.wait(impl_->open_run());
  BestReport report{std::nullopt, rule.metric, impl_->stopped, {}};
  if (impl_->was_cut_short()) return report;
  report.checkpoint =
      impl_->store.find({impl_->run_name, Address::Kind::best, 0, rule.metric, rule.better, ""});
  report.restored = impl_->state.models().restore(impl_->store.open_checkpoint(*report.checkpoint));
  report.restored.ignored.clear();  // everything but the weights, as asked
  return report;
}

void TrainingLoop::check_resume(std::int64_t steps) {
  if (steps < 1) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("check_resume: {} steps: at least 1", steps));
  }
  impl_->check_steps = steps;
}

const std::optional<ResumeProof>& TrainingLoop::resume_proof() const { return impl_->proof; }
const Progress& TrainingLoop::progress() const { return impl_->progress; }
const BestTracker& TrainingLoop::best() const { return impl_->best; }
const std::string& TrainingLoop::stopped() const { return impl_->stopped; }
int TrainingLoop::exit_status() const { return impl_->exit_status; }
Store& TrainingLoop::store() { return impl_->store; }
Run& TrainingLoop::run() { return impl_->open_run(); }

double TrainingLoop::mean(const std::string& metric) const {
  auto place = impl_->progress.means.find(metric);
  return place == impl_->progress.means.end() ? 0 : place->second.value();
}

}  // namespace ckp::libtorch

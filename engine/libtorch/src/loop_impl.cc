#include "loop_impl.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "ckp/error.h"
#include "loop_record.h"

namespace ckp::libtorch {
namespace {

using Clock = TimeLimit::Clock;
constexpr int kMostFailures = 3;
constexpr std::chrono::seconds kFirstSave{5};  // a guess, until one has been measured

LoopOptions checked(LoopOptions options) {
  if (options.accumulate < 1 || options.notice.count() < 0 || options.max_time.count() < 0 ||
      options.max_steps < 0) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("training loop: accumulate {} must be at least 1, max_steps, notice and "
                    "max_time not negative",
                    options.accumulate));
  }
  if (options.stop_after_worse > 0 && options.best.metric.empty()) {
    throw Error(
        ErrorCode::invalid_argument,
        "training loop: stop_after_worse needs a best metric, as in .best = {\"val/loss\"}");
  }
  if (!options.say) {
    options.say = [](const std::string& line) { fmt::print(stderr, "ckpstore: {}\n", line); };
  }
  return options;
}

std::optional<Clock::time_point> own_deadline(const LoopOptions& options) {
  if (options.max_time.count() == 0) return std::nullopt;
  return Clock::now() + options.max_time;
}

std::optional<Clock::time_point> slurm() {
  return slurm_deadline(Clock::now(), std::chrono::system_clock::now());
}

std::optional<Clock::time_point> earlier(std::optional<Clock::time_point> a,
                                         std::optional<Clock::time_point> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

TrainingLoop::Impl::Impl(Store opened, const std::string& name, const TrainingState& parts,
                         const LoopOptions& given)
    : store(std::move(opened)),
      run_name(name),
      options(checked(given)),
      best(options.best),
      early_stopping(options.stop_after_worse),
      state(parts),
      schedule({options.save_every_steps, options.save_every_epochs, options.save_every,
                options.max_overhead, options.max_lost_work},
               Clock::now()),
      limit(earlier(own_deadline(options), slurm()),
            options.notice.count() > 0 ? options.notice : kFirstSave),
      slurm_ends_first(!own_deadline(options) || (slurm() && *slurm() < *own_deadline(options))),
      saver(store, state, options, limit),
      last_chance_(Clock::now()) {
  state.check_saves_here();
  state.progress("progress", progress).part("best", best).part("early_stopping", early_stopping);
  for (const auto& [parameter, value] : options.parameters) {
    state.fact("parameter/" + parameter, value);
  }
  state.fact("accumulate", options.accumulate);
  if (options.on_signal != OnSignal::ignore) signals.emplace();
  if (!options.lazy_saves) return;
  self = std::make_shared<Impl*>(this);
  const std::weak_ptr<Impl*> loop = self;
  state.guard_saves({[loop] {
                       if (const auto living = loop.lock()) (*living)->before_step();
                     },
                     [loop] {
                       if (const auto living = loop.lock()) (*living)->saver.wait_copied();
                     }});
}

TrainingLoop::Impl::~Impl() {
  if (run) saver.wait(*run);
}

Run& TrainingLoop::Impl::open_run() {
  if (run) return *run;
  RunOptions made = run_options(run_name, options, state);
  made.parent = parent;
  if (const auto code = code_version(made.environment)) state.fact("git_commit", *code);
  run.emplace(store.create_run(made));
  return *run;
}

void TrainingLoop::Impl::begin_batches(const Sampler& sampler) {
  if (!state.has(sampler)) {
    options.say(
        "the sampler is no part of the state: a resume begins its epoch anew; add it with "
        "part(\"sampler\", sampler)");
  }
  epoch_metrics_.clear();
  if (check_steps == 0 || sampler.epoch_done()) return;
  check = std::make_unique<ResumeCheck>(state, check_steps);
  check_steps = 0;
}

void TrainingLoop::Impl::begin_batch(std::int64_t size) {
  batch_size_ = size;
  took_step_ = false;
}

void TrainingLoop::Impl::before_step() {
  guarded_ = true;
  saved_lazily_ = false;
  saver.wait_copied();
}

bool TrainingLoop::Impl::was_guarded() {
  if (std::exchange(guarded_, false) || !options.lazy_saves) return options.lazy_saves;
  if (std::exchange(saved_lazily_, false)) {
    const std::string removed = saver.remove_last(*run);
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("training loop: step {} changed the state while a lazy save was copying "
                    "that of step {}; {}; call loop.before_step() before the optimizer's "
                    "step, in each step",
                    progress.step + 1, progress.step, removed));
  }
  if (!std::exchange(unguarded_told_, true)) {
    options.say(
        "lazy_saves: this step had no loop.before_step() before the optimizer's step; its save, "
        "and that of any other such step, keeps the training until it has copied");
  }
  return false;
}

void TrainingLoop::Impl::took_step(const Metrics& metrics) {
  if (saver.failed_in_a_row() >= kMostFailures) {
    throw Error(
        saver.last_error()->code(),
        fmt::format("{} saves in a row have failed, and training does not go on without; the "
                    "last one: {}",
                    saver.failed_in_a_row(), saver.last_error()->what()));
  }
  open_run();
  step_was_guarded_ = was_guarded();
  ++progress.step;
  took_step_ = true;
  step_metrics_ = metrics;
  const std::int64_t samples = std::max<std::int64_t>(1, samples_of_step_ + batch_size_);
  for (const auto& [name, value] : metrics) {
    progress.means[name].add(value * static_cast<double>(samples), samples);
  }
  look_at_numbers(metrics);
  offer_best(metrics, progress.epoch);
  if (check != nullptr) check->step(metrics);
  if (check != nullptr && check->in_first_half()) return;  // they will be taken again
  Metrics logged = state.learning_rates();
  logged.insert(metrics.begin(), metrics.end());
  run->log(progress.epoch, progress.step, logged);
}

void TrainingLoop::Impl::end_batch(std::int64_t size, bool epoch_over) {
  ++progress.batch;
  progress.samples += size;
  batch_size_ = 0;
  samples_of_step_ = took_step_ ? 0 : samples_of_step_ + size;
  if (took_step_) end_step(epoch_over);
  took_step_ = false;
}

void TrainingLoop::Impl::end_step(bool epoch_over) {
  measure();
  collect();
  if (const std::string reason = reason_to_stop(); !reason.empty()) {
    leave(reason);
  } else if (check != nullptr) {
    continue_check(epoch_over);
  } else if (!epoch_over) {  // the end of the epoch has more to save
    save_or_finish_in_epoch();
  }
  last_chance_ = Clock::now();
}

void TrainingLoop::Impl::save_or_finish_in_epoch() {
  if (enough_steps()) {
    finish();
    stopped = "max_steps";
  } else if (improved_ || schedule.due_after_step(progress.step, Clock::now())) {
    save();
  }
}

void TrainingLoop::Impl::continue_check(bool epoch_over) {
  saver.wait_copied();  // it may restore
  proof = check->end_of_step(epoch_over || enough_steps());
  if (!proof) return;
  check.reset();
  options.say(proof->text());
  if (!epoch_over && enough_steps()) save_or_finish_in_epoch();
}

void TrainingLoop::Impl::begin_epochs(std::int64_t count) {
  if (count < 0) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("training loop: {} epochs: must be 0 or more", count));
  }
  open_run();
  target_epochs = count;
  // After a resume has compared: training may always go on for longer.
  if (options.max_steps > 0) {
    state.fact("max_steps", options.max_steps);
  } else {
    state.fact("total_epochs", count);
  }
  last_chance_ = Clock::now();
  if (nothing_left() && !has_stopped()) run->finish(RunStatus::completed);
}

bool TrainingLoop::Impl::nothing_left() const {
  return progress.epoch >= target_epochs || early_stopping.should_stop() || enough_steps();
}

void TrainingLoop::Impl::end_epoch_body(const Metrics& metrics) {
  if (has_stopped()) return;
  ended_epoch_ = true;
  epoch_metrics_ = metrics;
  for (const auto& [name, mean] : progress.means) epoch_metrics_.emplace(name, mean.value());
  look_at_numbers(metrics);
  offer_best(metrics, progress.epoch + 1);
  if (!metrics.empty()) open_run().log(progress.epoch + 1, progress.step, metrics);
}

void TrainingLoop::Impl::end_epoch() {
  if (has_stopped()) return;
  if (!ended_epoch_) end_epoch_body({});
  ended_epoch_ = false;
  if (check != nullptr) {
    check.reset();
    options.say("resume not checked: the epoch had no step");
  }
  progress.end_epoch();
  samples_of_step_ = 0;
  measure();
  collect();
  end_epoch_or_stop();
  last_chance_ = Clock::now();
}

void TrainingLoop::Impl::end_epoch_or_stop() {
  if (nothing_left() && !nonfinite_stop_) return finish();
  if (const std::string reason = reason_to_stop(); !reason.empty()) return leave(reason);
  if (improved_ || schedule.due_after_epoch(progress.epoch, Clock::now())) save();
}

void TrainingLoop::Impl::finish() {
  SaveOptions last = save_options();
  last.final = true;
  if (!saver.save_and_wait(open_run(), last)) throw *saver.last_error();
  run->finish(RunStatus::completed);
  if (early_stopping.should_stop()) stopped = "early stopping";
}

void TrainingLoop::Impl::abandon() noexcept {
  if (!run || has_stopped()) return;
  stopped = "an exception";
  try {
    saver.wait(*run);
    if (options.save_on_exception && saver.failed_in_a_row() < kMostFailures) {
      SaveOptions last = save_options();
      last.tags[std::string(mid_step_tag)] = "an exception ended the step";
      if (saver.save_and_wait(*run, last)) {
        options.say(
            fmt::format("an exception ended the training: its state is saved as mid_step "
                        "after step {}, for you to look at; a resume takes the one before",
                        progress.step));
      }
    }
    run->finish(RunStatus::failed);
  } catch (...) {
    // The exception that ended the training is the one to tell.
  }
}

std::string TrainingLoop::Impl::reason_to_stop() const {
  if (nonfinite_stop_) return "NaN or infinity";
  if (signals && signals->raised() != 0) return signal_name(signals->raised());
  if (limit.reached(Clock::now())) return slurm_ends_first ? "SLURM_JOB_END_TIME" : "max_time";
  return "";
}

void TrainingLoop::Impl::leave(const std::string& reason) {
  check.reset();
  stopped = reason;
  if (nonfinite_stop_) {
    saver.wait(*run);
    run->finish(RunStatus::failed);
    exit_status = 1;
    options.say(fmt::format("stopped by {} at step {}, without a save", reason, progress.step));
    return;
  }
  SaveOptions last = save_options();
  const int signal = signals ? signals->raised() : 0;
  // A signal without notice is somebody at the keyboard; everything else that gets here is a
  // deadline.
  if (signal == 0 || options.notice.count() > 0) {
    last.encode.compression = format::Compression::fast;
    last.encode.differences = false;
  }
  const bool saved = saver.save_and_wait(*run, last);
  options.say(fmt::format("stopped by {} at step {}, {}", reason, progress.step,
                          saved ? "which is saved" : "which could NOT be saved"));
  if (signal == 0) return;
  exit_status = 128 + signal;
  if (options.on_signal == OnSignal::leave) std::exit(exit_status);
}

void TrainingLoop::Impl::save() {
  improved_ = false;
  schedule.saved(Clock::now());
  SaveOptions options_of_save = save_options();
  saved_lazily_ = step_was_guarded_;
  if (saved_lazily_) options_of_save.snapshot = SnapshotMode::lazy;
  options_of_save.check_unchanged = options.check_lazy_saves;
  saver.save(open_run(), options_of_save);
  collect();
}

SaveOptions TrainingLoop::Impl::save_options() const {
  SaveOptions save;
  save.epoch = progress.epoch;
  save.step = progress.step;
  save.metrics = epoch_metrics_;
  save.metrics.insert(step_metrics_.begin(), step_metrics_.end());
  return save;
}

void TrainingLoop::Impl::collect() {
  saver.poll(*run);
  if (saver.take_nonfinite()) found_nonfinite("a checkpoint holds NaN or infinity");
  if (const auto cost = saver.take_cost()) {
    schedule.save_cost(cost->stall, cost->durable);
    tell_interval(*cost);
  }
}

void TrainingLoop::Impl::tell_interval(const LoopSaver::Cost& cost) {
  const auto interval = schedule.interval();
  if (!interval) return;
  const auto seconds = [](std::chrono::nanoseconds time) {
    return std::chrono::duration<double>(time).count();
  };
  // Once, and again when it has changed a lot.
  const double now = seconds(*interval);
  if (now > told_interval_s_ / 2 && now < told_interval_s_ * 2) return;
  told_interval_s_ = now;
  const std::string why = *interval == options.max_lost_work ? "which is max_lost_work"
                          : *interval == cost.durable        ? "which one takes to be durable"
                                                             : "so that they cost that part";
  options.say(
      fmt::format("a save keeps the training for {:.3g} s; with a max_overhead of {:.3g} % "
                  "there is one every {:.3g} s, {}",
                  seconds(cost.stall), 100 * options.max_overhead, now, why));
}

void TrainingLoop::Impl::offer_best(const Metrics& metrics, std::int64_t epochs) {
  auto place = metrics.find(options.best.metric);
  if (place == metrics.end()) return;
  const bool improved = best.offer(place->second, epochs, progress.step);
  early_stopping.evaluated(improved);
  improved_ = improved_ || improved;
}

void TrainingLoop::Impl::look_at_numbers(const Metrics& metrics) {
  for (const auto& [name, value] : metrics) {
    if (!std::isfinite(value)) found_nonfinite(fmt::format("{} is {}", name, value));
  }
}

void TrainingLoop::Impl::found_nonfinite(const std::string& what) {
  if (options.on_nonfinite == OnNonfinite::ignore) return;
  if (options.on_nonfinite == OnNonfinite::stop) nonfinite_stop_ = true;
  if (nonfinite_told_) return;
  nonfinite_told_ = true;
  options.say(fmt::format("step {}: {}; a resume takes the newest checkpoint without",
                          progress.step, what));
}

void TrainingLoop::Impl::measure() {
  const std::chrono::nanoseconds time = Clock::now() - last_chance_;
  limit.step_took(time);
  progress.trained_seconds += std::chrono::duration<double>(time).count();
}

}  // namespace ckp::libtorch

// What a TrainingLoop and its ranges share.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "ckp/libtorch/early_stopping.h"
#include "ckp/libtorch/save_schedule.h"
#include "ckp/libtorch/stop_signals.h"
#include "ckp/libtorch/training_loop.h"
#include "loop_saver.h"

namespace ckp::libtorch {

struct TrainingLoop::Impl {
  using Clock = std::chrono::steady_clock;

  Impl(Store opened, const std::string& name, const TrainingState& parts, const LoopOptions& given);
  ~Impl();

  Run& open_run();

  // The batch loop.
  void begin_batches(const Sampler& sampler);
  void begin_batch(std::int64_t size);
  void before_step();
  void took_step(const Metrics& metrics);
  // After the body of a batch. `epoch_over`: there is none left.
  void end_batch(std::int64_t size, bool epoch_over);

  // The epoch loop.
  void begin_epochs(std::int64_t count);
  bool nothing_left() const;
  void end_epoch_body(const Metrics& metrics);
  // At the ++.
  void end_epoch();
  // Saves as final and completes the run.
  void finish();
  // The loop is being left by an exception. Throws nothing.
  void abandon() noexcept;

  bool has_stopped() const { return !stopped.empty(); }
  // By a signal or its time, with more to train.
  bool was_cut_short() const {
    return has_stopped() && !early_stopping.should_stop() && !nonfinite_stop_ && !enough_steps();
  }
  bool enough_steps() const { return options.max_steps > 0 && progress.step >= options.max_steps; }

  Store store;
  std::string run_name;
  LoopOptions options;
  Progress progress;
  BestTracker best;
  EarlyStopping early_stopping;
  TrainingState state;  // the caller's and the three above
  SaveSchedule schedule;
  TimeLimit limit;
  bool slurm_ends_first = false;
  LoopSaver saver;
  std::shared_ptr<Impl*> self;  // for parts that outlive the loop
  std::optional<StopSignals> signals;
  std::optional<ParentCheckpoint> parent;  // of a run that is to be made
  std::optional<Run> run;
  std::unique_ptr<ResumeCheck> check;
  std::optional<ResumeProof> proof;
  std::int64_t check_steps = 0;  // still to be begun
  std::int64_t target_epochs = 0;
  std::string stopped;
  int exit_status = 0;

 private:
  // Whether the running step's changes were guarded; Error when they came into a lazy save.
  bool was_guarded();
  void end_step(bool epoch_over);
  void save_or_finish_in_epoch();
  void continue_check(bool epoch_over);
  // Why to stop now, or nothing.
  std::string reason_to_stop() const;
  void leave(const std::string& reason);
  void save();
  SaveOptions save_options() const;
  void collect();
  void tell_interval(const LoopSaver::Cost& cost);
  void offer_best(const Metrics& metrics, std::int64_t epochs);
  void look_at_numbers(const Metrics& metrics);
  void found_nonfinite(const std::string& what);
  // The time since the last chance to save.
  void measure();
  void end_epoch_or_stop();

  Metrics step_metrics_;              // of the last step
  Metrics epoch_metrics_;             // of the epoch that ends; empty in the middle of one
  std::int64_t batch_size_ = 0;       // of the batch in the body
  std::int64_t samples_of_step_ = 0;  // in the batches of the running step before that
  bool took_step_ = false;            // in this body
  bool guarded_ = false;              // before_step was called since the last step
  bool step_was_guarded_ = false;     // the last one
  bool saved_lazily_ = false;         // since the last before_step
  bool unguarded_told_ = false;
  bool ended_epoch_ = false;    // end() was called in this body
  bool improved_ = false;       // since the last save
  double told_interval_s_ = 0;  // of max_overhead
  bool nonfinite_told_ = false;
  bool nonfinite_stop_ = false;
  Clock::time_point last_chance_;
};

}  // namespace ckp::libtorch

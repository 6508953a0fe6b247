// The loop around a training: it counts, logs, saves, resumes and stops.
//
//   TrainingLoop loop("./store", "cnn", state,
//                     {.best = {"val/loss"}, .keep = {"last 2", "best 1"}});
//   std::cout << loop.resume();
//   for (auto& epoch : loop.epochs(20)) {
//     for (auto& batch : epoch.batches(train_set, sampler)) {
//       ... forward, backward ...
//       if (!batch.last_of_step()) continue;
//       optimizer.step();
//       loop.step({{"train/loss", loss}});
//     }
//     epoch.end({{"val/loss", validate(model)}});
//   }
//   std::cout << loop.restore_best();
//   return loop.exit_status();
//
// Saves happen at the ++ of a loop, after the body has done its last: at the end of an optimizer
// step or of an epoch, never in between. What asks for one earlier (a signal, the schedule) waits
// for that.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "ckp/libtorch/batches.h"
#include "ckp/libtorch/loop_options.h"
#include "ckp/libtorch/progress.h"
#include "ckp/libtorch/resume_check.h"
#include "ckp/libtorch/sampler.h"
#include "ckp/libtorch/training_state.h"
#include "ckp/store.h"

namespace ckp::libtorch {

using Metrics = std::map<std::string, double>;

class BatchRange;
class Epoch;
class EpochRange;

// What start_from did. Prints as two lines.
struct StartReport {
  std::string run;
  std::optional<ParentCheckpoint> parent;  // nothing: the run goes on from a checkpoint of its own
  RestoreReport restored;
};
std::ostream& operator<<(std::ostream& out, const StartReport& report);

// One thread. Refers to the objects of the state, and adds to it the parts "progress", "best" and
// "early_stopping", which are its own.
class TrainingLoop {
 public:
  struct Impl;

  // Opens the store, or makes it. Error(invalid_argument) for options that make no sense, and above
  // rank 0 (TrainingState::check_saves_here): there, a loop of one's own trains, beside the one of
  // rank 0 that saves.
  TrainingLoop(const std::filesystem::path& store, const std::string& run,
               const TrainingState& state, const LoopOptions& options = {});
  TrainingLoop(Store store, const std::string& run, const TrainingState& state,
               const LoopOptions& options = {});
  // Waits for a save that is on its way. A run that did not come to its end is interrupted.
  ~TrainingLoop();
  TrainingLoop(const TrainingLoop&) = delete;
  TrainingLoop& operator=(const TrainingLoop&) = delete;

  // Fine-tuning: a new run begins with the weights of another's checkpoint, "base@best",
  // "@production" or "@7f3c02d1", and the rest as the program made it (TrainingState::start_from).
  // The run's record says so for good. Call it before resume, each time the program starts: once
  // the run has a checkpoint to go on from, it does nothing, and needs the parent no more. A run
  // that was stopped before its first one begins again with the parent in its record, whatever an
  // alias points at by now. Error(already_exists) when it had none.
  StartReport start_from(const std::string& address, const StartOptions& options = {});
  // The same from a file (open_file) or from another store. Error(mismatch) when the run's record
  // has another parent.
  StartReport start_from(const Checkpoint& parent, const StartOptions& options = {});

  // Restores the state from the run's checkpoint and opens the run's next attempt. At most once,
  // before anything else. Without it the run must be new: Error(already_exists) otherwise, from the
  // first call that needs it. Errors as TrainingState::restore and Store::resume_run.
  ResumeReport resume(Resume how = Resume::if_present, const ResumeOptions& options = {});

  // The epochs from where training stands up to `count` in all. At its end the state is saved as
  // final and the run completed: after `count` epochs or max_steps, or when early stopping says so.
  // Leaving the loop by `break` completes nothing; see finish.
  EpochRange epochs(std::int64_t count);

  // With LoopOptions::lazy_saves: waits until the last save has copied what the optimizer is about
  // to change. Call it in each step, after the backward pass and right before the optimizer's step;
  // GradScaler::step of a scaler in the state does it. Between a save and this call nothing may
  // change parameters, optimizers' states and averages; an Ema or Swa of the state waits by itself.
  // The save of a step without it is not lazy, and a line says so; for a step after a lazy save,
  // step() throws Error(invalid_argument) and removes the checkpoint that may be of two moments.
  void before_step();

  // Counts an optimizer step and logs its metrics with the learning rates: call it last in the
  // body, after the optimizer's step. The metrics' means over the epoch, weighted by samples, are
  // among the metrics of its last checkpoint. Throws the Error of the last save when three in a row
  // have failed.
  void step(const Metrics& metrics = {});

  // From now on each checkpoint has this file with it, as `name` or by its file name
  // (SaveOptions::artifacts); `ckptool extract` writes it out again. It is read anew for each save,
  // and stored once as long as it stays the same. One that is gone by then is told and left out.
  // Error(not_found) when it is not there now, Error(invalid_argument) for a name that
  // check_artifact_name refuses. Attached again under its name, another file takes its place.
  void attach(const std::filesystem::path& file, const std::string& name = {});

  // Saves the state as the run's end and says that it is complete. Throws when that save fails.
  void finish();

  // The weights of the best checkpoint, into the models, once training is over: those that were
  // trained, also where the metric was measured with averages (Ema, Swa) swapped in; these are
  // restored by Store and TrainingState::restore, and then swapped in. In a run that was
  // stopped before, by a signal or its time, it changes nothing and says so. Error(not_found) when
  // no checkpoint has the best metric.
  BestReport restore_best();

  // Proves that a resume works before hours depend on it: the next `steps` steps of an epoch (or
  // those that it has left) run, are undone by restoring what was saved before them, with the
  // random generators scrambled, and run again. All losses and all state must be the same, bit for
  // bit. The result is told, and resume_proof() has it; training goes on either way, having taken
  // the steps once.
  void check_resume(std::int64_t steps);
  const std::optional<ResumeProof>& resume_proof() const;

  const Progress& progress() const;
  // The mean of a step metric over the running epoch, until the ++ that ends it; 0 without one.
  double mean(const std::string& metric) const;
  const BestTracker& best() const;
  // Why the loops ended before their time: "SIGTERM", "max_time", "early stopping", ..., and
  // "max_steps" in the middle of an epoch; or empty.
  const std::string& stopped() const;
  // For main to return: 128 + signal after one, 1 after OnNonfinite::stop, else 0.
  int exit_status() const;
  Store& store();
  // Makes the run when resume was not called.
  Run& run();

 private:
  std::unique_ptr<Impl> impl_;
};

// What `for (auto& batch : epoch.batches(...))` goes through.
class BatchRange {
 public:
  struct End {};
  class Iterator {
   public:
    explicit Iterator(BatchRange& range) : range_(range) {}
    Batch& operator*() const { return range_.batch_; }
    Iterator& operator++() {
      range_.advance();
      return *this;
    }
    bool at_end() const { return !range_.has_batch_; }
    friend bool operator==(const Iterator& one, End) { return one.at_end(); }

   private:
    BatchRange& range_;
  };

  BatchRange(TrainingLoop::Impl& loop, BatchSource source, Sampler& sampler)
      : loop_(loop), source_(std::move(source)), sampler_(sampler) {}
  Iterator begin();
  End end() const { return {}; }

 private:
  void advance();
  void fetch();

  TrainingLoop::Impl& loop_;
  BatchSource source_;
  Sampler& sampler_;
  Batch batch_;
  std::int64_t in_step_ = 0;  // batches of the running step so far
  bool has_batch_ = false;
};

class Epoch {
 public:
  explicit Epoch(TrainingLoop::Impl& loop) : loop_(loop) {}

  // Epochs completed before this one: 0, 1, 2, ...
  std::int64_t number() const;
  // The batches that are left of this epoch. The sampler must be a part of the state; a warning
  // says so otherwise. See batch_source for what a dataset may be.
  template <class Dataset>
  BatchRange batches(Dataset& dataset, Sampler& sampler) {
    return BatchRange(loop_, batch_source(dataset), sampler);
  }
  // Says how the epoch went, at the end of its body: logs, offers the best metric and counts for
  // early stopping. Does nothing once the loop has stopped in the middle of the epoch.
  void end(const Metrics& metrics = {});

 private:
  TrainingLoop::Impl& loop_;
};

// What `for (auto& epoch : loop.epochs(20))` goes through. Left by an exception, it makes the save
// of LoopOptions::save_on_exception.
class EpochRange {
 public:
  struct End {};
  class Iterator {
   public:
    explicit Iterator(EpochRange& range) : range_(range) {}
    Epoch& operator*() const { return range_.epoch_; }
    Iterator& operator++() {
      range_.advance();
      return *this;
    }
    bool at_end() const { return !range_.has_epoch_; }
    friend bool operator==(const Iterator& one, End) { return one.at_end(); }

   private:
    EpochRange& range_;
  };

  EpochRange(TrainingLoop::Impl& loop, std::int64_t count);
  ~EpochRange();
  EpochRange(const EpochRange&) = delete;
  EpochRange& operator=(const EpochRange&) = delete;
  Iterator begin();
  End end() const { return {}; }

 private:
  void advance();

  TrainingLoop::Impl& loop_;
  std::int64_t count_;
  int exceptions_;
  Epoch epoch_;
  bool has_epoch_ = false;
};

}  // namespace ckp::libtorch

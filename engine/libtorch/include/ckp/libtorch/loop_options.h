// What a TrainingLoop is told, and what its resume says.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ckp/data_set.h"
#include "ckp/environment.h"
#include "ckp/libtorch/best_tracker.h"
#include "ckp/libtorch/restore_report.h"
#include "ckp/records.h"
#include "ckp/save.h"

namespace ckp::libtorch {

// What to do about SIGINT, SIGTERM and SIGUSR1 (stop_signals.h).
enum class OnSignal {
  ignore,  // install no handlers
  leave,   // save at the next step's end, then std::exit(128 + signal)
  stop,    // save at the next step's end, then both loops end; see TrainingLoop::exit_status
};
enum class OnNonfinite {
  warn,  // one line
  stop,  // both loops end, without a save; the run has failed
  ignore,
};

struct LoopOptions {
  // What `@best` means, and what a save is worth: one is made whenever the metric gets better.
  BestRule best = {};
  // Checkpoints to keep, others are pruned after each save: {"last 2", "best 3", "every 10 epochs"}
  // (parse_keep_rules in ckp/retention.h). Empty: what the store's policy keeps
  // (Store::set_policy), and all without one. With either, no save stores differences
  // (EncodeOptions::differences): they would keep on the disk what the rules give up.
  std::vector<std::string> keep = {};
  // When to save besides; 0: never. Steps are optimizer steps.
  std::int64_t save_every_steps = 0;
  std::int64_t save_every_epochs = 1;
  std::chrono::nanoseconds save_every{0};
  // Or as often as costs this part of the training time (0.01: one per cent; 0: no such rule): the
  // loop measures how long a save keeps the training, and says which interval that leads to. With
  // this rule at least one save in each max_lost_work, whatever it costs.
  double max_overhead = 0;
  std::chrono::nanoseconds max_lost_work = std::chrono::minutes(30);
  // Saves keep the training no longer than it takes to begin them: parameters, optimizers' states
  // and averages are copied while the next forward and backward pass run (SnapshotMode::lazy), and
  // all else at once. Until when, the program says: see TrainingLoop::before_step.
  bool lazy_saves = false;
  // Finds out who changes those meanwhile all the same: their memory is hashed before and after,
  // and where it differs the save fails and names the tensors. Costs time at each lazy save.
  bool check_lazy_saves = false;
  // Stop after so many evaluations of the best metric in a row that were no improvement; 0: never.
  std::int64_t stop_after_worse = 0;
  // Optimizer steps in all, with which the training is complete wherever in an epoch it stands, for
  // those who count in steps; 0: epochs decide.
  std::int64_t max_steps = 0;
  // Batches to an optimizer step.
  std::int64_t accumulate = 1;

  // An exception that leaves the loops: save what there is, marked `mid_step`.
  bool save_on_exception = true;
  OnSignal on_signal = OnSignal::ignore;
  // A metric that is NaN or infinite, or a checkpoint that holds such a value.
  OnNonfinite on_nonfinite = OnNonfinite::warn;
  // How long after its signal the process will be killed. The save that the signal asks for is
  // made in a hurry (level `fast`, no differences; a save in flight comes to its end first), and a
  // line warns when a save takes longer than this.
  std::chrono::nanoseconds notice{0};
  // Save, likewise in a hurry, and stop early enough that a save fits: this long after the
  // loop was made, and before the end of a Slurm job (SLURM_JOB_END_TIME). 0: no limit of one's
  // own.
  std::chrono::nanoseconds max_time{0};

  // Recorded with a new run, see ckp/run.h; environment, data, devices and parameters with each
  // resume, too. A resume compares the parameters.
  std::string experiment = {};
  Value::Map parameters = {};
  Value::Map tags = {};
  // Besides what is captured, over which these keys win: that of ckp/environment.h, and "libtorch"
  // (its version), "threads", "devices" (where the models are) and, when there are any,
  // "cuda_devices" (how many LibTorch sees).
  Value::Map environment = {};
  bool capture = true;
  // How it is captured: `source` is a directory of the work tree that the program was built from,
  // when that is not around the working directory.
  CaptureOptions capture_options = {};
  DataSet data = {};
  // That the training uses at a time, for device hours. Nothing: the GPUs that the models are on,
  // or one for a CPU; times $WORLD_SIZE, which torchrun sets.
  std::optional<double> devices = std::nullopt;
  std::map<std::string, Better> directions = {};  // of other metrics than the best one

  // Takes what the loop has to say, one line at a time. Empty: standard error.
  std::function<void(const std::string&)> say = {};
  // Called on the loop's thread once a checkpoint is durable.
  std::function<void(const SaveReport&)> on_saved = {};
};

enum class Resume {
  if_present,  // go on where the run stands; a new run where there is none
  required,    // Error(not_found) where there is no checkpoint to go on from
  exact,       // required, and Error(mismatch) unless the continuation is exactly the same training
};

struct ResumeOptions {
  // An address of one of the run's checkpoints ("step:1200", "cnn@best", "@ID" or an "@ALIAS"):
  // what came after it is superseded. Error(invalid_argument) for a checkpoint of another run.
  // Empty: the newest that is resumable and undamaged.
  std::string from = {};
  std::vector<std::string> keep_constructed = {};   // see RestoreOptions
  std::map<std::string, c10::Device> devices = {};  // likewise
};

// What resume did. Prints as the run's certificate, with a line break at its end.
struct ResumeReport {
  std::string run;
  std::optional<CheckpointRecord> from;  // nothing: a fresh start
  std::vector<std::string> skipped;      // checkpoints that were passed over, with the reason
  // The step that the attempt before had begun when its process died: training comes to its batch
  // again. 0: it ended at `from`, said why it ended, or nobody knows.
  std::int64_t died_in_step = 0;
  RestoreReport restored;
};
std::ostream& operator<<(std::ostream& out, const ResumeReport& report);

// What restore_best did; prints likewise.
struct BestReport {
  std::optional<CheckpointRecord> checkpoint;  // nothing: not restored
  std::string metric;
  std::string stopped;  // why not
  RestoreReport restored;
};
std::ostream& operator<<(std::ostream& out, const BestReport& report);

}  // namespace ckp::libtorch

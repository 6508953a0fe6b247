// The saves of a loop: one on its way at most, failures counted, old checkpoints pruned.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ckp/error.h"
#include "ckp/libtorch/loop_options.h"
#include "ckp/libtorch/time_limit.h"
#include "ckp/libtorch/training_state.h"
#include "ckp/retention.h"
#include "ckp/run.h"
#include "ckp/store.h"

namespace ckp::libtorch {

class LoopSaver {
 public:
  // Refers to all of them.
  LoopSaver(Store& store, const TrainingState& state, const LoopOptions& options, TimeLimit& limit);

  // A file for each save from now on.
  void attach(ArtifactFile file);
  // Begins a save, once the one before it is through. Its failure is told, now or later, and
  // counted.
  void save(Run& run, const SaveOptions& options);
  // The same, and waits. False when it failed.
  bool save_and_wait(Run& run, const SaveOptions& options);
  // Of a lazy save: waits until it has copied.
  void wait_copied();
  // Waits for the last save and removes its checkpoint. Says what became of it.
  std::string remove_last(Run& run);
  // Collects a save that is through; wait waits for it.
  void poll(Run& run);
  void wait(Run& run);

  // Of the last save that has failed.
  const std::optional<Error>& last_error() const { return error_; }
  int failed_in_a_row() const { return failed_in_a_row_; }
  // Whether a save since the last call has found NaN or infinity in the state.
  bool take_nonfinite();
  // Of a save that has succeeded since the last call: how long the training waited for it, and how
  // long it took to be durable.
  struct Cost {
    std::chrono::nanoseconds stall{0}, durable{0};
  };
  std::optional<Cost> take_cost() { return std::exchange(cost_, std::nullopt); }

 private:
  using Clock = std::chrono::steady_clock;
  // The attached files that are there.
  std::vector<ArtifactFile> artifacts();
  void succeeded(const SaveReport& report);
  void failed(Run& run, const Error& error);
  void prune(const std::string& run);
  void old_ones_stay(const std::string& why);  // said once

  Store& store_;
  const TrainingState& state_;
  const LoopOptions& options_;
  TimeLimit& limit_;
  KeepPolicy keep_;
  std::map<std::string, std::filesystem::path> attached_;  // by name
  std::set<std::string> gone_;                             // of those: told
  std::optional<PendingSave> pending_;
  Clock::time_point began_;
  std::chrono::nanoseconds stall_{0};
  std::optional<Cost> cost_;
  std::optional<Error> error_;
  bool copying_ = false;  // a lazy save, perhaps
  std::optional<Uuid> last_saved_;
  std::int64_t step_ = 0;  // of the save on its way
  std::int64_t epoch_ = 0;
  int failed_in_a_row_ = 0;
  int failed_ = 0;
  bool nonfinite_ = false;
  bool slow_told_ = false;
  bool prune_told_ = false;
  std::set<std::string> metrics_seen_;  // in checkpoints of this process
};

}  // namespace ckp::libtorch

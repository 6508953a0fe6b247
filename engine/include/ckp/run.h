// A run that this process owns: the object a trainer saves into.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ckp/data_set.h"
#include "ckp/load.h"
#include "ckp/records.h"
#include "ckp/save.h"

namespace ckp {

struct RunOptions {
  std::string name = {};  // see check_run_name
  std::string experiment = {};
  Value::Map parameters = {};
  Value::Map tags = {};
  // Where the run is made: capture_environment() of ckp/environment.h, and keys of your own.
  Value::Map environment = {};
  DataSet data = {};                              // what it trains on
  std::map<std::string, Better> directions = {};  // {"val/loss", Better::lower}
  std::string best_metric = {};                   // what `@best` means; must be in `directions`
  std::optional<ParentCheckpoint> parent = {};    // whose weights the training begins with
  double devices = 1;  // that it uses at a time, for device hours; 0 or more
};

// What holds from a resume on. What is left empty stays as it was recorded before.
struct AttemptOptions {
  Value::Map parameters = {};
  Value::Map environment = {};
  DataSet data = {};
  std::optional<double> devices = std::nullopt;  // 0 or more
};

// Made by Store::create_run and Store::resume_run. Holds the run: as long as this object lives (and
// no longer than its process) no other process can resume the run. One thread at a time. The
// destructor waits for the saves in flight and releases the run; without finish() it is shown as
// interrupted. In a forked child every call throws Error(invalid_argument), and the destructor does
// nothing.
//
// Saves that were not waited for cannot fail unnoticed: the next save(), or finish(), throws their
// first error, once. If neither comes, the destructor writes it to the standard error stream.
class Run {
 public:
  struct Impl;
  explicit Run(std::unique_ptr<Impl> impl);
  Run(Run&&) noexcept;
  Run& operator=(Run&&) noexcept;
  ~Run();

  const RunRecord& record() const;
  std::uint32_t attempt() const;
  // The checkpoint this attempt continued from: open, ready to load. Nothing for a fresh start.
  const std::optional<Checkpoint>& continued_from() const;
  // Checkpoints that resume passed over because they were damaged, each with the reason.
  const std::vector<std::string>& skipped() const;

  // Saves a checkpoint. The state's memory is the caller's again when save returns (or later, if
  // the caller likes: SnapshotMode in save.h); the work goes on in the background, and saves commit
  // in the order of the calls. When wait() of the handle has returned the checkpoint is durable: it
  // survives a crash of the process, the machine or the power. wait() throws Error(locked) when a
  // newer attempt has taken the run over, Error(out_of_space) and others; nothing is lost then, and
  // training may go on and save again later. save itself throws Error(invalid_argument) for options
  // that make no sense, std::bad_alloc without memory for the copy, and an earlier save's error
  // that nobody has waited for; nothing has been saved then. With SnapshotMode::none it throws what
  // wait() would. With SnapshotMode::lazy it first waits until the save before has copied, and what
  // goes wrong in copying is for wait() to throw.
  PendingSave save(const StateDict& state, const SaveOptions& options);

  // Appends points of metric series to the run's journal: microseconds, and no wait for the disk
  // but while a save in the background syncs the journal. Survives the death of the process; what a
  // power cut can take is what was logged since the last save.
  void log(std::int64_t epoch, std::int64_t step, const std::map<std::string, double>& metrics);

  // Waits for the saves in flight, says how the run ended and makes that durable. Then throws the
  // first error of a save that nobody has waited for.
  void finish(RunStatus status);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace ckp

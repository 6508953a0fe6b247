// A run that this process owns: the object a trainer saves into.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ckp/load.h"
#include "ckp/records.h"
#include "ckp/save.h"

namespace ckp {

struct RunOptions {
  std::string name = {};  // see check_run_name
  std::string experiment = {};
  Value::Map parameters = {};
  Value::Map tags = {};
  Value::Map environment = {};
  std::map<std::string, Better> directions = {};  // {"val/loss", Better::lower}
  std::string best_metric = {};                   // what `@best` means; must be in `directions`
};

// Made by Store::create_run and Store::resume_run. Holds the run: as long as this object lives (and
// no longer than its process) no other process can resume the run. One thread at a time. The
// destructor releases the run; without finish() it is shown as interrupted. In a forked child every
// call throws Error(invalid_argument), and the destructor does nothing.
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

  // Saves a checkpoint. When wait() of the handle has returned it is durable: it survives a crash
  // of the process, the machine or the power. The state's memory is free again when save returns.
  // Throws Error(locked) when a newer attempt has taken the run over, Error(out_of_space) and
  // others; nothing is lost then, and training may go on and save again later.
  PendingSave save(const StateDict& state, const SaveOptions& options);

  // Appends points of metric series to the run's journal: microseconds, no wait for the disk.
  // Survives the death of the process; what a power cut can take is what was logged since the last
  // save.
  void log(std::int64_t epoch, std::int64_t step, const std::map<std::string, double>& metrics);

  // Says how the run ended and makes that durable.
  void finish(RunStatus status);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace ckp

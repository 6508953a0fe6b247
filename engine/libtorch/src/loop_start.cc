// Fine-tuning in a loop: which checkpoint a run begins with, and when it begins at all.
#include <fmt/format.h>

#include "ckp/error.h"
#include "ckp/shell_word.h"
#include "loop_address.h"
#include "loop_impl.h"

namespace ckp::libtorch {
namespace {

ParentCheckpoint parent_of(const Checkpoint& checkpoint) {
  const CheckpointRecord& record = checkpoint.record();
  const std::string file = std::filesystem::path(checkpoint.name()).filename().string();
  return {record.id, record.run, record.run_name.empty() ? file : record.run_name, record.epoch,
          record.step};
}

std::string text_of(const ParentCheckpoint& parent) {
  return fmt::format("{}@{}", parent.run_name, parent.checkpoint.short_hex());
}

// A run that exists, but has nothing to go on from: the parent that its record has.
const ParentCheckpoint& recorded_parent(const Store& store, const RunRecord& run) {
  if (run.parent) return *run.parent;
  const std::string name = shell_word(run.name), path = shell_word(store.path().string());
  throw Error(ErrorCode::already_exists,
              fmt::format("start_from: run {} exists already, began with no other's weights, and "
                          "has no checkpoint to go on from; choose another name, or remove it: "
                          "ckptool rm {} {}",
                          run.name, path, name));
}

void check_comes_first(const TrainingLoop::Impl& loop) {
  if (!loop.run) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("start_from: run {} is open already; start_from comes before resume",
                          loop.run_name));
}

}  // namespace

StartReport TrainingLoop::start_from(const std::string& address, const StartOptions& options) {
  check_comes_first(*impl_);
  const Store& store = impl_->store;
  const auto known = find_run(store, impl_->run_name);
  if (known && can_resume(store, *known)) return {known->name, std::nullopt, {}};
  CheckpointRecord parent;
  if (known) {
    const Uuid& recorded = recorded_parent(store, *known).checkpoint;
    parent = store.find({"", Address::Kind::id, 0, "", std::nullopt, recorded.hex()});
  } else {
    parent = store.find(parse_address(address));
  }
  return start_from(store.open_checkpoint(parent), options);
}

StartReport TrainingLoop::start_from(const Checkpoint& parent, const StartOptions& options) {
  check_comes_first(*impl_);
  const auto known = find_run(impl_->store, impl_->run_name);
  if (known && can_resume(impl_->store, *known)) return {known->name, std::nullopt, {}};
  const ParentCheckpoint taken = parent_of(parent);
  if (known && recorded_parent(impl_->store, *known).checkpoint != taken.checkpoint) {
    throw Error(ErrorCode::mismatch,
                fmt::format("start_from: run {} began with the weights of {}, not of {}; choose "
                            "another name for a new run",
                            known->name, text_of(*known->parent), text_of(taken)));
  }
  StartReport report{impl_->run_name, taken, impl_->state.start_from(parent, options)};
  impl_->parent = taken;
  return report;
}

}  // namespace ckp::libtorch

#include "loop_saver.h"

#include <fmt/format.h>

#include <exception>
#include <span>
#include <utility>

#include "ckp/artifacts.h"
#include "ckp/error.h"

namespace ckp::libtorch {
namespace {

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

// "best 3" means the loop's best metric.
KeepPolicy keep_policy(const LoopOptions& options) {
  KeepPolicy policy = parse_keep_rules(options.keep);
  for (KeepBest& rule : policy.best) {
    if (!rule.metric.empty()) continue;
    if (options.best.metric.empty()) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("keep \"best {}\": the loop has no best metric; name one, as in "
                              "\"best {} val/loss:min\"",
                              rule.count, rule.count));
    }
    rule.metric = options.best.metric;
    rule.better = options.best.better;
    rule.pending = false;  // the loop gives it with the save, or the save is between two of them
  }
  return policy;
}

}  // namespace

LoopSaver::LoopSaver(Store& store, const TrainingState& state, const LoopOptions& options,
                     TimeLimit& limit)
    : store_(store), state_(state), options_(options), limit_(limit), keep_(keep_policy(options)) {}

void LoopSaver::attach(ArtifactFile file) {
  check_artifact_name(file.name);
  if (!std::filesystem::exists(file.path)) {
    throw Error(ErrorCode::not_found,
                fmt::format("attach {}: {}: no such file", file.name, file.path.string()));
  }
  if (std::filesystem::is_directory(file.path)) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("attach {}: {} is a folder; attach each file of it", file.name,
                            file.path.string()));
  }
  gone_.erase(file.name);
  attached_.insert_or_assign(std::move(file.name), std::filesystem::absolute(file.path));
}

std::vector<ArtifactFile> LoopSaver::artifacts() {
  std::vector<ArtifactFile> files;
  for (const auto& [name, path] : attached_) {
    std::error_code error;
    if (std::filesystem::exists(path, error)) {
      files.push_back({name, path});
    } else if (gone_.insert(name).second) {
      options_.say(fmt::format("the attached file {} is gone: {}; checkpoints are saved without it",
                               name, path.string()));
    }
  }
  return files;
}

void LoopSaver::save(Run& run, const SaveOptions& options) {
  wait(run);
  began_ = Clock::now();
  step_ = options.step;
  epoch_ = options.epoch;
  last_saved_.reset();
  try {
    SaveOptions tagged = options;
    if (!keep_.empty()) {
      tagged.apply_policy = false;
      tagged.encode.differences = false;  // they would keep what is pruned
    }
    if (failed_in_a_row_ > 0) {
      tagged.tags["after_failed_saves"] = std::to_string(failed_in_a_row_);
    }
    tagged.artifacts = artifacts();
    pending_.emplace(run.save(state_.state_dict(options.snapshot), tagged));
    copying_ = options.snapshot == SnapshotMode::lazy;
  } catch (const Error& error) {
    return failed(run, error);
  } catch (const std::exception& error) {  // LibTorch's: the device has failed, no memory
    return failed(run, Error(ErrorCode::io, error.what()));
  }
  stall_ = Clock::now() - began_;
  poll(run);
}

bool LoopSaver::save_and_wait(Run& run, const SaveOptions& options) {
  save(run, options);
  wait(run);
  return failed_in_a_row_ == 0;
}

void LoopSaver::wait_copied() {
  if (!std::exchange(copying_, false) || !pending_) return;
  const auto since = Clock::now();
  pending_->wait_copied();
  stall_ += Clock::now() - since;
}

std::string LoopSaver::remove_last(Run& run) {
  wait(run);
  if (!last_saved_) return "it was not saved";
  try {
    store_.remove_checkpoints(std::span(&*last_saved_, 1));
    return "its checkpoint has been removed";
  } catch (const Error& error) {
    return fmt::format("its checkpoint {} may be of both and could not be removed: {}",
                       last_saved_->short_hex(), error.what());
  }
}

void LoopSaver::poll(Run& run) {
  if (pending_ && pending_->done()) wait(run);
}

void LoopSaver::wait(Run& run) {
  if (!pending_) return;
  std::optional<PendingSave> pending = std::move(pending_);
  pending_.reset();
  std::optional<SaveReport> report;
  try {
    report = pending->wait();
  } catch (const Error& error) {
    return failed(run, error);
  } catch (const std::exception& error) {  // no memory
    return failed(run, Error(ErrorCode::out_of_resources, error.what()));
  }
  succeeded(*report);
}

void LoopSaver::succeeded(const SaveReport& report) {
  const std::chrono::nanoseconds took = Clock::now() - began_;
  limit_.save_took(took);
  cost_ = Cost{stall_, took};
  failed_in_a_row_ = 0;
  last_saved_ = report.checkpoint.id;
  if (report.checkpoint.nonfinite) nonfinite_ = true;
  if (options_.notice.count() > 0 && took > options_.notice && !slow_told_) {
    slow_told_ = true;
    options_.say(fmt::format("a save took {:.1f} s: the notice of {:.1f} s is too short for it",
                             seconds(took), seconds(options_.notice)));
  }
  if (options_.on_saved) options_.on_saved(report);
  if (!report.policy_problem.empty()) old_ones_stay(report.policy_problem);
  for (const auto& [name, value] : report.checkpoint.metrics) metrics_seen_.insert(name);
  // No rule keeps a mid-step checkpoint: it must stay at least until somebody has looked.
  if (!report.checkpoint.mid_step()) prune(report.checkpoint.run_name);
}

void LoopSaver::failed(Run& run, const Error& error) {
  ++failed_in_a_row_;
  ++failed_;
  error_ = error;
  options_.say(fmt::format("the save of step {} has failed ({} in a row): {}", step_,
                           failed_in_a_row_, error.what()));
  try {
    run.log(epoch_, step_, {{"loop/failed_saves", static_cast<double>(failed_)}});
  } catch (const Error&) {
    // Told already; the journal is on the same disk.
  }
}

void LoopSaver::prune(const std::string& run) {
  if (keep_.empty()) return;
  // Before the first validation nobody knows which is the best.
  for (const KeepBest& rule : keep_.best) {
    if (!metrics_seen_.contains(rule.metric)) return;
  }
  try {
    store_.prune(keep_, std::span(&run, 1));
  } catch (const Error& error) {
    old_ones_stay(error.what());
  }
}

void LoopSaver::old_ones_stay(const std::string& why) {
  if (std::exchange(prune_told_, true)) return;
  options_.say(fmt::format("old checkpoints stay: {}", why));
}

bool LoopSaver::take_nonfinite() { return std::exchange(nonfinite_, false); }

}  // namespace ckp::libtorch

#include "train.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <chrono>
#include <cmath>
#include <optional>

#include "ckp/error.h"
#include "ckp/query.h"
#include "experiment.h"

namespace example {
namespace {

ckp::Value::Map environment(const Options& options) {
  return {{"libtorch", TORCH_VERSION}, {"threads", options.threads}};
}

ckp::RunOptions run_options(const Options& options, const ckp::Store& store) {
  ckp::RunOptions run;
  run.name = options.run == "auto" ? store.free_run_name("fashion-mnist") : options.run;
  run.experiment = "fashion-mnist";
  run.parameters = run_parameters(options);
  run.environment = environment(options);
  run.directions = {{"train/loss", ckp::Better::lower},
                    {"val/loss", ckp::Better::lower},
                    {"val/accuracy", ckp::Better::higher}};
  run.best_metric = "val/loss";
  return run;
}

std::optional<ckp::RunRecord> find_run(const ckp::Store& store, const std::string& name) {
  for (ckp::RunRecord& run : store.runs()) {
    if (run.name == name) return std::move(run);
  }
  return std::nullopt;
}

// Bits may differ between versions and numbers of threads: LibTorch adds in another order then.
void compare_environment(const ckp::RunRecord& run, const Options& options, Output& output) {
  for (const auto& [name, now] : environment(options)) {
    auto recorded = run.environment.find(name);
    if (recorded == run.environment.end() || recorded->second == now) continue;
    output.note(
        fmt::format("{} has changed since run \"{}\" was started; its bits may differ from "
                    "those of an uninterrupted run",
                    name, run.name));
  }
}

// NaN, in JSON null, for what a checkpoint in the middle of an epoch does not know.
double metric(const ckp::CheckpointRecord& checkpoint, const std::string& name) {
  auto place = checkpoint.metrics.find(name);
  return place == checkpoint.metrics.end() ? std::nan("") : place->second;
}

EpochResult result_of(const ckp::CheckpointRecord& checkpoint, const Experiment& experiment) {
  return {checkpoint.epoch,
          checkpoint.step,
          metric(checkpoint, "train/loss"),
          metric(checkpoint, "val/loss"),
          metric(checkpoint, "val/accuracy"),
          experiment.weights_digest()};
}

// The result of a run that has nothing left to do, without opening another attempt on it.
std::optional<EpochResult> finished_result(const ckp::Store& store, const ckp::RunRecord& run,
                                           const Options& options, Experiment& experiment) {
  if (run.status != ckp::RunStatus::completed) return std::nullopt;
  auto newest = ckp::newest_resumable(ckp::current_line(run, store.checkpoints(run.id)));
  if (!newest || newest->epoch < options.epochs) return std::nullopt;
  try {
    experiment.state().restore(store.open_checkpoint(*newest));
  } catch (const ckp::Error& error) {
    if (error.code() != ckp::ErrorCode::corrupt) throw;
    return std::nullopt;  // an earlier checkpoint may be good: resume finds it
  }
  return result_of(*newest, experiment);
}

class Trainer {
 public:
  Trainer(const Options& options, Experiment& experiment, ckp::Run run, Output& output)
      : options_(options), experiment_(experiment), run_(std::move(run)), output_(output) {}

  // Restores the checkpoint that the run continues from, if there is one.
  void begin() {
    for (const std::string& reason : run_.skipped()) output_.note("skipped " + reason);
    if (!run_.continued_from()) return output_.started(run_.record().name);
    experiment_.state().restore(*run_.continued_from());
    result_ = result_of(run_.continued_from()->record(), experiment_);
    output_.resumed(run_.record().name, run_.continued_from()->record());
  }

  void train() {
    while (experiment_.progress().epoch < options_.epochs) {
      while (experiment_.train_step()) save_in_epoch();
      end_epoch();
    }
    run_.finish(ckp::RunStatus::completed);
    output_.final(result_);
  }

  void fail() { run_.finish(ckp::RunStatus::failed); }

 private:
  void save_in_epoch() {
    const bool due =
        options_.save_every > 0 && experiment_.progress().step % options_.save_every == 0;
    // The end of the epoch saves anyway, with the validation's metrics.
    if (due && !experiment_.epoch_done()) save({{"train/loss", experiment_.train_loss()}}, false);
  }

  void end_epoch() {
    const double lr = experiment_.learning_rate();
    result_ = experiment_.end_epoch();
    output_.epoch(result_, options_.epochs);
    std::map<std::string, double> metrics{{"train/loss", result_.train_loss},
                                          {"val/loss", result_.val_loss},
                                          {"val/accuracy", result_.val_accuracy}};
    save(metrics, result_.epoch >= options_.epochs);
    metrics["lr"] = lr;
    run_.log(result_.epoch, result_.step, metrics);
  }

  void save(std::map<std::string, double> metrics, bool final) {
    const auto begin = std::chrono::steady_clock::now();
    ckp::SaveOptions options;
    options.epoch = experiment_.progress().epoch;
    options.step = experiment_.progress().step;
    options.metrics = std::move(metrics);
    options.final = final;
    ckp::PendingSave pending = run_.save(experiment_.state().state_dict(), options);
    const ckp::SaveReport& report = pending.wait();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    output_.saved(run_.record().name, report, took.count());
  }

  const Options& options_;
  Experiment& experiment_;
  ckp::Run run_;
  Output& output_;
  EpochResult result_;
};

}  // namespace

void train(Options options, ckp::Store& store, Output& output) {
  std::optional<ckp::RunRecord> known;
  if (options.resume) known = find_run(store, options.run);
  if (known) {
    options = continue_options(options, *known);
    compare_environment(*known, options, output);
  }
  at::set_num_threads(options.threads);
  Experiment experiment(options);
  if (known) {
    if (auto result = finished_result(store, *known, options, experiment)) {
      return output.final(*result);
    }
  }
  Trainer trainer(
      options, experiment,
      known ? store.resume_run(known->name) : store.create_run(run_options(options, store)),
      output);
  try {
    trainer.begin();
    trainer.train();
  } catch (const std::exception&) {
    try {
      trainer.fail();
    } catch (const std::exception&) {
      // The first error is the one to tell.
    }
    throw;
  }
}

}  // namespace example

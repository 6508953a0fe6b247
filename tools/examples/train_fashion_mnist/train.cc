#include "train.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <sstream>
#include <utility>

#include "ckp/error.h"
#include "ckp/libtorch/training_loop.h"
#include "ckp/query.h"
#include "common/acknowledge.h"
#include "experiment.h"

namespace example {
namespace {

namespace ckt = ckp::libtorch;

std::chrono::nanoseconds from_seconds(double seconds) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

ckt::OnNonfinite on_nonfinite(const std::string& text) {
  if (text == "stop") return ckt::OnNonfinite::stop;
  return text == "ignore" ? ckt::OnNonfinite::ignore : ckt::OnNonfinite::warn;
}

ckp::DataSet describe_data(const Options& options, const Experiment& experiment) {
  ckp::DataSet data;
  data.name = "fashion-mnist";
  data.version = options.data_version;
  data.add_files(options.data);
  data.splits = {{"train", experiment.training.size()},
                 {"validation", experiment.validation.size()}};
  data.classes = count_classes(experiment.training);
  data.normalization = normalization();
  return data;
}

ckt::LoopOptions loop_options(const Options& options, const Experiment& experiment,
                              Output& output) {
  ckt::LoopOptions loop;
  loop.best = {"val/loss", ckp::Better::lower, 0};
  loop.keep = options.keep;
  loop.save_every_steps = options.save_every;
  loop.stop_after_worse = options.stop_after_worse;
  loop.accumulate = options.accumulate;
  loop.on_signal = ckt::OnSignal::leave;
  loop.on_nonfinite = on_nonfinite(options.on_nonfinite);
  loop.notice = from_seconds(options.notice);
  loop.max_time = from_seconds(options.max_time);
  loop.experiment = "fashion-mnist";
  loop.parameters = run_parameters(options);
  loop.data = describe_data(options, experiment);
  loop.directions = {{"train/loss", ckp::Better::lower}, {"val/accuracy", ckp::Better::higher}};
  loop.say = [&output](const std::string& text) { output.note(text); };
  loop.on_saved = [&output, acks = options.ack_dir](const ckp::SaveReport& report) {
    if (!acks.empty()) acknowledge(acks, report);
    output.saved(report);
  };
  return loop;
}

std::optional<ckp::RunRecord> find_run(const ckp::Store& store, const std::string& name) {
  for (ckp::RunRecord& run : store.runs()) {
    if (run.name == name) return std::move(run);
  }
  return std::nullopt;
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
  if (run.status != ckp::RunStatus::completed || !options.resume_from.empty()) return std::nullopt;
  auto newest = ckp::newest_resumable(ckp::current_line(run, store.checkpoints(run.id)));
  if (!newest || newest->epoch < options.epochs) return std::nullopt;
  try {
    experiment.state.restore(store.open_checkpoint(*newest));
  } catch (const ckp::Error& error) {
    const bool lost =
        error.code() == ckp::ErrorCode::corrupt || error.code() == ckp::ErrorCode::not_found;
    if (!lost) throw;
    return std::nullopt;  // an earlier checkpoint may be good: resume finds it
  }
  return result_of(*newest, experiment);
}

EpochResult resume(ckt::TrainingLoop& loop, const Options& options, Experiment& experiment,
                   Output& output) {
  const ckt::ResumeReport report =
      loop.resume(options.exact ? ckt::Resume::exact : ckt::Resume::if_present,
                  {options.resume_from, options.keep_constructed});
  std::ostringstream certificate;
  certificate << report;
  output.resumed(report.from ? report.from->step : 0, certificate.str(), report.skipped);
  return report.from ? result_of(*report.from, experiment) : EpochResult{};
}

// The loop itself. Returns the last epoch's result.
EpochResult run_epochs(ckt::TrainingLoop& loop, const Options& options, Experiment& experiment,
                       EpochResult result, Output& output) {
  double loss = 0;  // of the running step
  for (auto& epoch : loop.epochs(options.epochs)) {
    for (auto& batch : epoch.batches(experiment.training, experiment.sampler)) {
      loss += experiment.backward(batch);
      if (!batch.last_of_step()) continue;  // gradient accumulation
      experiment.optimizer_step();
      loop.step({{"train/loss", std::exchange(loss, 0)}});
    }
    if (!loop.stopped().empty()) break;  // in the middle of the epoch
    experiment.end_epoch();
    const Validation validation = experiment.validate();
    epoch.end({{"val/loss", validation.loss}, {"val/accuracy", validation.accuracy}});
    result = {epoch.number() + 1, loop.progress().step, loop.mean("train/loss"),
              validation.loss,    validation.accuracy,  experiment.weights_digest()};
    output.epoch(result, options.epochs);
  }
  return result;
}

}  // namespace

int train(Options options, Output& output) {
  ckp::Store store = ckp::Store::open_or_create(options.store);
  if (options.run == "auto") options.run = store.free_run_name("fashion-mnist");
  std::optional<ckp::RunRecord> known;
  if (options.resume) known = find_run(store, options.run);
  if (known) options = continue_options(options, *known);
  at::set_num_threads(options.threads);
  Experiment experiment(options);
  if (known) {
    if (auto result = finished_result(store, *known, options, experiment)) {
      output.resumed(result->step, "", {});
      output.final(*result);
      return 0;
    }
  }
  ckt::TrainingLoop loop(std::move(store), options.run, experiment.state,
                         loop_options(options, experiment, output));
  EpochResult result;
  if (options.resume) result = resume(loop, options, experiment, output);
  if (options.check_resume > 0) loop.check_resume(options.check_resume);
  result = run_epochs(loop, options, experiment, result, output);
  if (loop.run().record().status == ckp::RunStatus::completed) output.final(result);
  return loop.exit_status();
}

}  // namespace example

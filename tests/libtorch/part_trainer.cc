// A training that has everything a state can hold, as a process of its own. It prints the bits of
// every loss and, at its end, digests of all that counts.
//
//   part_trainer OPTIMIZER whole FOLDER          from the beginning; saves FOLDER/epoch.ckp at the
//                                                end of the second epoch, FOLDER/middle.ckp in the
//                                                middle of the third, and goes on
//   part_trainer OPTIMIZER resume FILE [WITHOUT] goes on from there, seeded differently at first,
//                                                without restoring this part
#include <torch/torch.h>

#include <bit>
#include <cstdio>
#include <map>
#include <string>

#include "ckp/libtorch/best_tracker.h"
#include "ckp/libtorch/digest.h"
#include "ckp/libtorch/early_stopping.h"
#include "ckp/libtorch/ema.h"
#include "ckp/libtorch/grad_scaler.h"
#include "ckp/libtorch/lr_scheduler.h"
#include "ckp/libtorch/progress.h"
#include "ckp/libtorch/sampler.h"
#include "ckp/libtorch/save_file.h"
#include "ckp/libtorch/swa.h"
#include "ckp/libtorch/training_state.h"

namespace {

namespace optim = torch::optim;
using namespace ckp::libtorch;
using torch::Tensor;

constexpr std::int64_t kEpochs = 5, kSamples = 24, kBatch = 4;  // six steps to an epoch
constexpr std::int64_t kEpochSaved = 2, kStepSaved = 15;
// The best comes first, so that patience ends the training after the fourth epoch.
constexpr double kMetric[] = {0.3, 0.9, 0.8, 0.7, 0.6};

struct NetImpl : torch::nn::Module {
  NetImpl() {
    register_module("fc1", fc1);
    register_module("norm", norm);
    register_module("fc2", fc2);
  }
  Tensor forward(const Tensor& x) {
    return fc2(torch::dropout(torch::relu(norm(fc1(x))), 0.2, is_training()));
  }
  torch::nn::Linear fc1{5, 7}, fc2{7, 3};
  torch::nn::BatchNorm1d norm{7};
};
TORCH_MODULE(Net);

std::unique_ptr<optim::Optimizer> make_optimizer(const std::string& kind, Net& net) {
  const auto parameters = net->parameters();
  if (kind == "SGD") {
    return std::make_unique<optim::SGD>(parameters, optim::SGDOptions(1e-4).momentum(0.9));
  }
  if (kind == "Adam") {
    return std::make_unique<optim::Adam>(parameters, optim::AdamOptions(1e-2).amsgrad(true));
  }
  if (kind == "AdamW") return std::make_unique<optim::AdamW>(parameters, 1e-2);
  if (kind == "RMSprop") {
    return std::make_unique<optim::RMSprop>(
        parameters, optim::RMSpropOptions(1e-3).momentum(0.9).centered(true));
  }
  if (kind == "Adagrad") {
    return std::make_unique<optim::Adagrad>(parameters, optim::AdagradOptions(1e-2).lr_decay(0.01));
  }
  if (kind == "LBFGS") {
    return std::make_unique<optim::LBFGS>(parameters,
                                          optim::LBFGSOptions(1e-3).max_iter(2).history_size(3));
  }
  throw std::runtime_error("no optimizer " + kind);
}

struct Job {
  // The state lacks the part `without`.
  Job(std::string optimizer_kind, std::uint64_t seed, const std::string& without = {})
      : kind((torch::manual_seed(seed), std::move(optimizer_kind))),
        sampler(kSamples, kBatch, seed) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(11);
    augmentation = at::make_generator<at::CPUGeneratorImpl>(seed);
    normalization["mean"] = 0.01 * static_cast<double>(seed);
    data = at::randn({kSamples, 5}, generator, at::TensorOptions(at::kFloat));
    target = data.slice(1, 0, 3).clone();
    describe(without);
  }

  void describe(const std::string& without) {
    state.model("model", net);
    if (without != "optimizer") state.optimizer("optimizer", *optimizer);
    if (without != "step_lr") state.scheduler("step_lr", step_lr);
    if (without != "random") state.random_state("random");
    if (without != "augmentation") state.generator("augmentation", augmentation);
    if (without != "history") state.value("history", history);
    if (without != "normalization") state.value("normalization", normalization);
    const std::map<std::string, Part*> parts{
        {"cosine", &cosine},   {"plateau", &plateau},   {"grad_scaler", &scaler},
        {"ema", &ema},         {"swa", &swa},           {"swa_lr", &swa_lr},
        {"sampler", &sampler}, {"progress", &progress}, {"best", &best},
        {"early", &early}};
    for (const auto& [name, part] : parts) {
      if (name != without) state.part(name, *part);
    }
  }

  Tensor loss_of(const Tensor& rows) {
    const Tensor shifted = data.index_select(0, rows) - normalization["mean"].as_double();
    const Tensor noise = at::randn(shifted.sizes(), augmentation, shifted.options());
    return 64 * torch::mse_loss(net(shifted + 0.01 * noise), target.index_select(0, rows));
  }

  double step(const Tensor& rows) {
    Tensor loss;
    if (kind == "LBFGS") {  // it evaluates the loss itself, more than once
      loss = optimizer->step([&] {
        optimizer->zero_grad();
        Tensor again = loss_of(rows);
        again.backward();
        return again;
      });
    } else {
      optimizer->zero_grad();
      loss = loss_of(rows);
      scaler.scale(loss).backward();
      scaler.step(*optimizer);
      scaler.update();
    }
    ema.update();
    swa.update();
    cosine.step();
    swa_lr.step();
    progress.count_step(rows.size(0));
    return loss.item<double>();
  }

  double validate() {
    torch::NoGradGuard no_grad;
    auto shadow = ema.weights();
    net->eval();
    const double loss = torch::mse_loss(net(data), target).item<double>();
    net->train();
    return loss;
  }

  void end_epoch() {
    const double metric = kMetric[progress.epoch];
    step_lr.step();
    plateau.step(metric);
    history["metric"][std::to_string(progress.epoch)] = metric;
    progress.end_epoch();
    early.evaluated(best.offer(metric, progress.epoch, progress.step));
    std::printf("epoch %lld %016llx\n", static_cast<long long>(progress.epoch), bits(validate()));
  }

  // `folder`: where to save on the way; empty: nowhere.
  void run(const std::string& folder) {
    while (progress.epoch < kEpochs && !early.should_stop()) {
      while (const auto rows = sampler.next()) {
        const double loss = step(*rows);
        std::printf("step %lld %016llx\n", static_cast<long long>(progress.step), bits(loss));
        if (!folder.empty() && progress.step == kStepSaved) save(folder + "/middle.ckp");
      }
      end_epoch();
      if (!folder.empty() && progress.epoch == kEpochSaved) save(folder + "/epoch.ckp");
    }
    std::printf("end weights %s, %zu metrics\n", weights_digest(*net).hex().c_str(),
                history["metric"].as_map().size());
    {
      auto shadow = swa.weights();
      std::printf("end equal averages %s of %lld\n", weights_digest(*net).hex().c_str(),
                  static_cast<long long>(swa.updates()));
    }
    auto shadow = ema.weights();
    std::printf("end averages %s of %lld, best %016llx, %lld samples\n",
                weights_digest(*net).hex().c_str(), static_cast<long long>(ema.updates()),
                bits(best.value().value_or(-1)), static_cast<long long>(progress.samples));
  }

  void save(const std::string& file) {
    save_file(file, state);
    std::puts("saved");
  }

  static unsigned long long bits(double value) { return std::bit_cast<std::uint64_t>(value); }

  std::string kind;
  Net net;
  std::unique_ptr<optim::Optimizer> optimizer = make_optimizer(kind, net);
  optim::StepLR step_lr{*optimizer, /*step_size=*/2, /*gamma=*/0.5};
  CosineAnnealingLR cosine{*optimizer, /*t_max=*/40};
  ReduceLROnPlateau plateau{*optimizer, {.patience = 1}};
  // So high that steps are not made again and again: which ones, the scale and its counter say.
  GradScaler scaler{{.init_scale = 0x1p127, .growth_interval = 4}};
  Ema ema{net, 0.9};
  Swa swa{net, {.begin = 7, .every = 2}};
  SWALR swa_lr{*optimizer, /*swa_lr=*/1e-6, /*anneal_epochs=*/60, "linear"};
  Sampler sampler;
  Progress progress;
  BestTracker best{{"metric"}};
  EarlyStopping early{3};
  Tensor data, target;
  at::Generator augmentation;
  ckp::Value history, normalization;
  TrainingState state;
};

int run(const std::vector<std::string>& words) {
  at::set_num_threads(1);
  if (words.at(1) == "whole") {
    Job(words.at(0), 1).run(words.at(2));
    return 0;
  }
  const std::string without = words.size() > 3 ? words[3] : "";
  Job job(words.at(0), 2, without);
  RestoreOptions options;
  options.strict = without.empty();
  options.exact = without.empty();
  if (without == "weights") options.select.exclude = {"model/fc*"};
  if (without == "buffers") options.select.exclude = {"model/norm.running_*"};
  load_file(words.at(2), job.state, options);
  std::puts("resumed");
  job.run("");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

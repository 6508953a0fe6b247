// An example of the library: a GPT in mixed precision, counted in steps.
//
// Kill it at any moment: started again, it goes on, and ends with bit-identical weights.
#include <fmt/format.h>
#include <torch/nn/functional/loss.h>
#include <torch/optim/adamw.h>
#include <torch/utils.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <set>

#include "ckp/libtorch/autocast.h"
#include "ckp/libtorch/digest.h"
#include "ckp/libtorch/ema.h"
#include "ckp/libtorch/grad_scaler.h"
#include "ckp/libtorch/lr_scheduler.h"
#include "ckp/libtorch/training_loop.h"
#include "common/acknowledge.h"
#include "train_gpt/gpt.h"

namespace example {
namespace {

namespace ckt = ckp::libtorch;
using torch::Tensor;

struct Settings {
  std::string store = "store", run = "gpt", text = CKP_SOURCE_DIR, ack_dir;
  std::int64_t steps = 400, warmup = 20, save_every = 50, batch_size = 8, accumulate = 2, seed = 1;
  double lr = 3e-3;
  GptSize size;
  int threads = 1;
};

void add_options(CLI::App& app, Settings& settings) {
  auto number = [&](const char* name, std::int64_t& value, const char* help) {
    app.add_option(name, value, help)->capture_default_str()->check(CLI::Range(1, 1'000'000));
  };
  app.add_option("--store", settings.store, "The store; made when it does not exist")
      ->envname("CKPSTORE")
      ->capture_default_str();
  app.add_option("--run", settings.run, "The run; one that is there goes on")
      ->capture_default_str();
  app.add_option("--text", settings.text, "Folder of README.md and spec/*.md, the text");
  app.add_option("--ack-dir", settings.ack_dir,
                 "Write a file acked-STEP into this folder once a save is durable");
  number("--steps", settings.steps, "Optimizer steps in all, those before a resume included");
  number("--warmup", settings.warmup, "Steps in which the learning rate rises");
  number("--save-every", settings.save_every, "Save every N steps");
  number("--batch-size", settings.batch_size, "Windows of text to a batch");
  number("--accumulate", settings.accumulate, "Batches to a step");
  number("--context", settings.size.context, "Characters to a window");
  number("--width", settings.size.width, "Numbers to a character; a multiple of the heads");
  number("--layers", settings.size.layers, "Blocks");
  number("--heads", settings.size.heads, "Attention heads");
  number("--seed", settings.seed, "Of weights, dropout and order");
  app.add_option("--lr", settings.lr, "Highest learning rate")->capture_default_str();
  app.add_option("--threads", settings.threads, "Threads of LibTorch")->capture_default_str();
}

// README.md and spec/*.md, one after the other; what is no ASCII is left out.
std::string read_documents(const std::filesystem::path& folder) {
  std::set<std::filesystem::path> files{folder / "README.md"};  // in the order of their names
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "spec", none)) {
    if (entry.path().extension() == ".md") files.insert(entry.path());
  }
  std::string text;
  for (const auto& file : files) {
    std::ifstream in(file);
    text.append(std::istreambuf_iterator<char>(in), {});
  }
  std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) >= 128; });
  if (text.size() < 10'000) throw std::runtime_error(folder.string() + ": hardly any text there");
  return text;
}

// Windows of the text, and the same one character on.
struct Windows {
  Windows(const Tensor& text, std::int64_t context) {
    const std::int64_t count = (text.size(0) - 1) / context;
    data = text.slice(0, 0, count * context).view({count, context});
    target = text.slice(0, 1, count * context + 1).view({count, context});
  }
  Tensor data, target;
};

Tensor loss_of(Gpt& model, const Tensor& data, const Tensor& target) {
  ckt::Autocast half(data.device());
  return torch::nn::functional::cross_entropy(model(data).flatten(0, 1), target.flatten());
}

double validate(Gpt& model, const Windows& windows) {
  torch::NoGradGuard no_grad;
  model->eval();
  const double loss = loss_of(model, windows.data, windows.target).item<double>();
  model->train();
  return loss;
}

ckt::LoopOptions loop_options(const Settings& settings) {
  ckt::LoopOptions options;
  options.best = {"val/loss"};
  options.save_every_steps = settings.save_every;
  options.max_steps = settings.steps;
  options.accumulate = settings.accumulate;
  options.lazy_saves = true;  // scaler.step() and ema wait for them
  options.on_signal = ckt::OnSignal::leave;
  options.parameters = {{"lr", settings.lr},
                        {"batch_size", settings.batch_size},
                        {"seed", settings.seed},
                        {"warmup", settings.warmup},
                        {"width", settings.size.width},
                        {"layers", settings.size.layers}};
  options.on_saved = [acks = settings.ack_dir](const ckp::SaveReport& report) {
    if (!acks.empty()) acknowledge(acks, report);
    std::cout << "  saved step " << report.checkpoint.step << std::endl;
  };
  return options;
}

int train(const Settings& settings) {
  torch::set_num_threads(settings.threads);
  torch::manual_seed(static_cast<std::uint64_t>(settings.seed));
  const std::string words = read_documents(settings.text);
  const Tensor text = torch::tensor(std::vector<std::int64_t>(words.begin(), words.end()));
  const std::int64_t split = text.size(0) - text.size(0) / 20;
  Windows train_set(text.slice(0, 0, split), settings.size.context);
  const Windows val_set(text.slice(0, split), settings.size.context);

  Gpt model(settings.size);
  torch::optim::AdamW optimizer(model->parameters(), torch::optim::AdamWOptions(settings.lr));
  ckt::SequentialLR scheduler(optimizer,
                              {ckt::then<ckt::LinearWarmup>(settings.warmup, 0.01, 1.0),
                               ckt::then<ckt::CosineAnnealingLR>(
                                   std::max<std::int64_t>(1, settings.steps - settings.warmup))},
                              {settings.warmup});
  ckt::GradScaler scaler({.growth_interval = 100});
  ckt::Ema ema(model, 0.99);
  ckt::Sampler sampler(train_set.data.size(0), settings.batch_size,
                       static_cast<std::uint64_t>(settings.seed));
  const auto state = ckt::TrainingState()
                         .model("model", model)
                         .optimizer("optimizer", optimizer)
                         .part("scheduler", scheduler)
                         .part("grad_scaler", scaler)
                         .part("ema", ema)
                         .part("sampler", sampler)
                         .random_state("random");  // dropout
  ckt::TrainingLoop loop(settings.store, settings.run, state, loop_options(settings));
  std::cout << loop.resume() << std::flush;

  double loss = 0;  // of the running step
  for (auto& epoch : loop.epochs(std::numeric_limits<std::int64_t>::max())) {
    for (auto& batch : epoch.batches(train_set, sampler)) {
      const Tensor share =
          loss_of(model, batch.data, batch.target) / static_cast<double>(settings.accumulate);
      scaler.scale(share).backward();
      loss += share.item<double>();
      if (!batch.last_of_step()) continue;
      if (scaler.step(optimizer)) ema.update();
      scaler.update();
      optimizer.zero_grad();
      scheduler.step();
      loop.step({{"train/loss", std::exchange(loss, 0)}});
    }
    if (!loop.stopped().empty()) break;  // in the middle of the epoch
    auto shadow = ema.weights();
    const double validation = validate(model, val_set);
    epoch.end({{"val/loss", validation}});
    std::cout << fmt::format("epoch {}  step {}  train/loss {:.4f}  val/loss {:.4f}",
                             epoch.number() + 1, loop.progress().step, loop.mean("train/loss"),
                             validation)
              << std::endl;
  }
  std::cout << fmt::format("final step {}  weights {}", loop.progress().step,
                           ckt::weights_digest(*model).hex())
            << std::endl;
  return loop.exit_status();
}

}  // namespace
}  // namespace example

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is met as an error of the save
  example::Settings settings;
  CLI::App app(
      "Trains a GPT over the characters of this project's documents: mixed precision with a\n"
      "gradient scaler, accumulation, warm-up and cosine, averaged weights, dropout.\n"
      "Kill it at any moment: started again, it ends with bit-identical weights.\n\n"
      "Example: train_gpt --store ./store --steps 400",
      "train_gpt");
  example::add_options(app, settings);
  CLI11_PARSE(app, argc, argv);
  try {
    return example::train(settings);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return 1;
  }
}

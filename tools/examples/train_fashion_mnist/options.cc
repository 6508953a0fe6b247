#include "options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "ckp/error.h"

namespace example {
namespace {

constexpr const char* kAbout =
    "Trains a small convolutional network on Fashion-MNIST and keeps its checkpoints in a store.\n"
    "Kill it at any moment: with --resume it goes on and ends with bit-identical weights.\n\n"
    "Example: train_fashion_mnist --store ./store --run cnn --epochs 3 --save-every 20 --resume";

void add_options(CLI::App& app, Options& options) {
  app.add_option("--store", options.store, "The store; made when it does not exist")
      ->envname("CKPSTORE")
      ->capture_default_str();
  app.add_option("--run", options.run, "Name of the run; auto: the first free name")
      ->capture_default_str();
  app.add_option("--epochs", options.epochs, "Epochs in all, those before a resume included")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--batch-size", options.batch_size)
      ->capture_default_str()
      ->check(CLI::Range(2, 60000));
  app.add_option("--lr", options.lr, "Learning rate")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed)->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_option("--train-size", options.train_size,
                 "Images to train on; validation takes a sixth as many others")
      ->capture_default_str()
      ->check(CLI::Range(2, 60000));
  app.add_option("--save-every", options.save_every,
                 "Save every N steps, too; 0: at the end of each epoch only")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--resume", options.resume,
               "Go on from the run's newest good checkpoint; start where there is none");
  app.add_option("--data", options.data, "Folder of the four Fashion-MNIST .gz files")
      ->capture_default_str();
  app.add_flag("--json", options.json, "One JSON line for each epoch, and one at the end");
  app.add_option("--threads", options.threads, "Threads of LibTorch")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
}

// Takes one parameter over from the run's record.
template <class T>
void take_over(const ckp::RunRecord& run, const Options& options, const std::string& name,
               T& member) {
  auto place = run.parameters.find(name);
  if (place == run.parameters.end()) return;
  T recorded{};
  if constexpr (std::is_same_v<T, double>) {
    recorded = place->second.as_double();
  } else {
    recorded = static_cast<T>(place->second.as_int());
  }
  std::string option = "--" + name;
  std::replace(option.begin(), option.end(), '_', '-');
  if (options.given.contains(option) && member != recorded) {
    throw ckp::Error(ckp::ErrorCode::invalid_argument,
                     fmt::format("{} {}: run \"{}\" was started with {}; leave the option out, or "
                                 "start another run with --run NAME",
                                 option, member, run.name, recorded));
  }
  member = recorded;
}

}  // namespace

ParseResult parse_options(int argc, const char* const* argv) {
  Options options;
  CLI::App app(kAbout, "train_fashion_mnist");
  add_options(app, options);
  try {
    app.parse(argc, argv);
    if (options.resume && options.run == "auto") {
      throw CLI::ValidationError("--resume", "needs the run's name: --run auto is a new run");
    }
  } catch (const CLI::ParseError& error) {
    return {std::nullopt, app.exit(error) == 0 ? 0 : 2};
  }
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() > 0) options.given.insert(option->get_name());
  }
  return {options, 0};
}

ckp::Value::Map run_parameters(const Options& options) {
  return {{"epochs", options.epochs},
          {"batch_size", options.batch_size},
          {"lr", options.lr},
          {"seed", options.seed},
          {"train_size", options.train_size}};
}

Options continue_options(Options options, const ckp::RunRecord& run) {
  if (!options.given.contains("--epochs")) take_over(run, options, "epochs", options.epochs);
  take_over(run, options, "batch_size", options.batch_size);
  take_over(run, options, "lr", options.lr);
  take_over(run, options, "seed", options.seed);
  take_over(run, options, "train_size", options.train_size);
  return options;
}

}  // namespace example

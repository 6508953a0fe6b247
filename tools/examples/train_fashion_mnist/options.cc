#include "options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

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
  app.add_option("--accumulate", options.accumulate, "Batches to an optimizer step")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--swa", options.swa,
                 "Average the weights from epoch N on, at half the learning rate, and validate "
                 "with the average; 0: do not")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--data", options.data, "Folder of the four Fashion-MNIST .gz files")
      ->capture_default_str();
  app.add_option("--data-version", options.data_version, "Recorded with the run");
  app.add_flag("--json", options.json, "One JSON line for each epoch, and one at the end");
  app.add_option("--threads", options.threads, "Threads of LibTorch")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
}

void add_save_options(CLI::App& app, Options& options) {
  app.add_option("--save-every", options.save_every,
                 "Save every N steps, too; 0: at the end of each epoch only")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--keep", options.keep,
                 "Checkpoints to keep, as in --keep 'last 2' --keep 'best 3'; without: all");
  app.add_option("--ack-dir", options.ack_dir,
                 "Write a file acked-STEP into this folder once a save is durable");
  app.add_option("--stop-after-worse", options.stop_after_worse,
                 "Stop after N epochs in a row without a better val/loss; 0: never")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--max-time", options.max_time,
                 "Save and stop before so many seconds are over; 0: no limit")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--notice", options.notice,
                 "Seconds between SIGTERM and the end of the process; 0: not known")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--on-nonfinite", options.on_nonfinite,
                 "What to do about a loss that is no number")
      ->capture_default_str()
      ->check(CLI::IsMember({"warn", "stop", "ignore"}));
}

void add_resume_options(CLI::App& app, Options& options) {
  app.add_flag("--resume", options.resume,
               "Go on from the run's newest good checkpoint; start where there is none");
  app.add_option("--resume-from", options.resume_from,
                 "Go on from this checkpoint of the run, as in step:40: what came after it is "
                 "superseded");
  app.add_flag("--exact", options.exact,
               "With either: only when training goes on exactly as it would have");
  app.add_option("--keep-constructed", options.keep_constructed,
                 "With either: options that the command line decides, as in 'optimizer/*/lr'");
  app.add_option("--check-resume", options.check_resume,
                 "Prove over the first N steps that a resume works; 0: do not")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
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
  add_save_options(app, options);
  add_resume_options(app, options);
  try {
    app.parse(argc, argv);
    if (!options.resume_from.empty() || options.exact) options.resume = true;
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
  ckp::Value::Map parameters{{"epochs", options.epochs},
                             {"batch_size", options.batch_size},
                             {"accumulate", options.accumulate},
                             {"lr", options.lr},
                             {"seed", options.seed},
                             {"train_size", options.train_size}};
  if (options.swa > 0) parameters.emplace("swa", options.swa);
  return parameters;
}

Options continue_options(Options options, const ckp::RunRecord& run) {
  if (!options.given.contains("--epochs")) take_over(run, options, "epochs", options.epochs);
  take_over(run, options, "batch_size", options.batch_size);
  take_over(run, options, "accumulate", options.accumulate);
  // With --keep-constructed the command line decides.
  if (options.keep_constructed.empty()) take_over(run, options, "lr", options.lr);
  take_over(run, options, "seed", options.seed);
  take_over(run, options, "train_size", options.train_size);
  take_over(run, options, "swa", options.swa);
  return options;
}

}  // namespace example

#include "search_store.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "ckp/format/store_identity.h"
#include "store/store_core.h"

namespace ckp::bench {
namespace {

// The same for the same number, and as if random.
std::uint64_t scattered(std::uint64_t number) {
  number = (number ^ (number >> 31)) * 0x9E3779B97F4A7C15u;
  number = (number ^ (number >> 29)) * 0xBF58476D1CE4E5B9u;
  return number ^ (number >> 32);
}

double share(std::uint64_t number) {
  return static_cast<double>(scattered(number) >> 11) * 0x1p-53;
}

Uuid scattered_uuid(std::uint64_t kind, std::int64_t number) {
  Uuid id;
  for (std::size_t half = 0; half < 2; ++half) {
    const std::uint64_t bits = scattered(4 * static_cast<std::uint64_t>(number) + 2 * kind + half);
    for (std::size_t i = 0; i < 8; ++i) {
      id.bytes[8 * half + i] = static_cast<std::byte>(bits >> (8 * i));
    }
  }
  return id;
}

}  // namespace

RunRecord sweep_run(std::int64_t number) {
  RunRecord run;
  run.id = scattered_uuid(0, number);
  run.name = fmt::format("sweep-{:05}", number);
  run.directory = run.name + "-" + run.id.hex();
  run.parameters = {{"lr", 1e-5 * static_cast<double>(number + 1)},
                    {"optimizer", number % 2 == 0 ? "adam" : "sgd"},
                    {"batch_size", 32},
                    {"layers", Value::List{64, 128, 256}},
                    {"seed", number}};
  run.tags = {{"team", "ranking"}};
  run.environment = {{"user", "ada"},         {"host", "node-7"},
                     {"cpu", "a processor"},  {"git_commit", run.id.hex()},
                     {"git_branch", "main"},  {"git_dirty", false},
                     {"library", "ckpstore"}, {"command_line", "train --lr 0.001"}};
  run.data = {{"name", "fashion-mnist"}, {"version", "2026-08"}, {"digest", run.id.hex()}};
  run.directions = {{"val/loss", Better::lower}, {"val/auc", Better::higher}};
  run.best_metric = "val/loss";
  run.created_ns = 1'790'000'000'000'000'000 + number;
  run.status = RunStatus::completed;
  run.attempts = {Attempt{1, std::nullopt, run.created_ns, 42, "node-7"}};
  return run;
}

CheckpointRecord sweep_checkpoint(const SearchSize& size, const RunRecord& run, std::int64_t number,
                                  std::int64_t epoch) {
  CheckpointRecord one;
  const std::int64_t place = number * size.checkpoints + epoch;
  one.id = scattered_uuid(1, place);
  one.run = run.id;
  one.run_name = run.name;
  one.commit = static_cast<std::uint64_t>(place + 1);
  one.attempt = 1;
  one.epoch = epoch + 1;
  one.step = 100 * one.epoch;
  const auto bits = static_cast<std::uint64_t>(3 * place);
  const double learned =
      1 - std::exp(-5.0 * static_cast<double>(one.epoch) / static_cast<double>(size.checkpoints));
  one.metrics = {{"val/loss", 2 - learned + 0.2 * share(bits)},
                 {"val/auc", 0.5 + 0.4 * learned + 0.1 * share(bits + 1)},
                 {"train/loss", 1.8 - learned + 0.2 * share(bits + 2)}};
  one.created_ns = run.created_ns + 1'000'000'000 * one.epoch;
  one.file_size = 1'000'000 + scattered(bits) % 1'000'000;
  one.tensor_bytes = one.file_size;
  one.tensor_count = 30;
  one.writer = "ckpstore 0.1.0";
  return one;
}

Store make_search_store(const std::filesystem::path& path, const SearchSize& size) {
  std::filesystem::remove_all(path);
  const StoreOptions options;
  Store::create(path, options).runs();  // makes the index
  const auto file = options.file_system->open(StoreLayout{path}.identity(), OpenMode::read);
  std::vector<std::byte> bytes(format::StoreIdentity::size);
  file->read_at(0, bytes);
  StoreCore core(path, options, format::decode_store_identity(bytes));
  for (std::int64_t number = 0; number < size.runs; ++number) {
    const RunRecord run = sweep_run(number);
    std::filesystem::create_directory(core.layout().run(run.directory));
    StoreLock lock = core.lock();
    core.finish_commit(lock, core.is_trusted(lock), [&](IndexUpdate& update) {
      update.put_run(run);
      for (std::int64_t epoch = 0; epoch < size.checkpoints; ++epoch) {
        update.put_checkpoint(sweep_checkpoint(size, run, number, epoch));
      }
    });
  }
  return Store::open(path, options);
}

}  // namespace ckp::bench

// A run and checkpoints to ask questions about.
#pragma once

#include <cmath>
#include <limits>

#include "ckp/filter.h"
#include "engine/run_samples.h"

namespace ckp::test {

constexpr std::int64_t filter_hour_ns = 3'600'000'000'000;
// 2026-10-03T12:00:00Z.
constexpr std::int64_t filter_noon_ns = 1'791'028'800'000'000'000;

inline RunRecord filter_run() {
  RunRecord run;
  run.id = id_of(0xabcd);
  run.name = "cnn-lr3";
  run.experiment = "ranking";
  run.status = RunStatus::completed;
  run.created_ns = filter_noon_ns;
  run.directions = {{"val/loss", Better::lower}};
  run.best_metric = "val/loss";
  run.parent = ParentCheckpoint{id_of(0xbeef), id_of(0xfeed), "base", 7, 700};
  run.parameters = {{"lr", 0.001},
                    {"batch", 32},
                    {"batch text", "32"},
                    {"amp", true},
                    {"amp text", "True"},
                    {"optimizer", Value::Map{{"name", "AdamW"}, {"betas", Value::List{0.9, 0.99}}}},
                    {"a.b", "literal"},
                    {"nothing", nullptr},
                    {"big", std::int64_t{9'007'199'254'740'993}}};
  run.tags = {{"team", "ranking"}, {"mlflow.user", "ada"}, {"kind", "run"}};
  run.attempts = {Attempt{1, std::nullopt, filter_noon_ns, 1, "node-7"}};
  return run;
}

// Epoch 1 to 4, one hour apart; val/loss 0.5, 0.3, NaN, 0.4.
inline RunHistory filter_history() {
  std::vector<CheckpointRecord> all;
  for (std::uint32_t epoch = 1; epoch <= 4; ++epoch) {
    CheckpointRecord one = checkpoint(epoch, epoch, 1, epoch);
    one.run_name = "cnn-lr3";
    one.created_ns = filter_noon_ns + epoch * filter_hour_ns;
    one.file_size = 1000;
    const double losses[] = {0.5, 0.3, std::nan(""), 0.4};
    one.metrics = {{"val/loss", losses[epoch - 1]}, {"two words", 7.0}};
    all.push_back(std::move(one));
  }
  all[0].metrics["early.max"] = 3.0;
  all[0].metrics["inf"] = -std::numeric_limits<double>::infinity();
  all[3].final = true;
  all[3].tags = {{"kind", "end"}};
  return {filter_run(), std::move(all)};
}

}  // namespace ckp::test

// Runs with a history of attempts, made the obvious way, for tests of pure questions.
#pragma once

#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "ckp/records.h"

namespace ckp::test {

inline Uuid id_of(std::uint32_t number) {
  Uuid id;
  for (std::size_t i = 0; i < 4; ++i) {
    id.bytes[i] = static_cast<std::byte>(number >> (24 - 8 * i));
  }
  id.bytes[15] = std::byte{1};
  return id;
}

inline CheckpointRecord checkpoint(std::uint32_t number, std::uint64_t commit,
                                   std::uint32_t attempt, std::int64_t epoch) {
  CheckpointRecord one;
  one.id = id_of(number);
  one.run_name = "cnn";
  one.commit = commit;
  one.attempt = attempt;
  one.epoch = epoch;
  one.step = epoch * 100;
  return one;
}

// A run that saves, is resumed from any of its checkpoints, and saves on. `line` is kept up to date
// as it happens: a resume cuts it after the checkpoint it takes.
struct History {
  RunRecord run;
  std::vector<CheckpointRecord> all;   // in commit order
  std::vector<CheckpointRecord> line;  // in commit order
};

inline double random_metric(std::mt19937_64& random) {
  switch (random() % 12) {
    case 0:
      return std::nan("");
    case 1:
      return std::numeric_limits<double>::infinity();
    case 2:
      return -std::numeric_limits<double>::infinity();
    default:
      return static_cast<double>(random() % 8);  // ties are common
  }
}

inline History random_history(std::mt19937_64& random) {
  History history;
  history.run.name = "cnn";
  history.run.directions = {{"loss", Better::lower}, {"auc", Better::higher}};
  history.run.best_metric = "loss";
  std::uint64_t commit = 0;
  std::int64_t epoch = 0;
  const auto attempts = static_cast<std::uint32_t>(1 + random() % 5);
  for (std::uint32_t attempt = 1; attempt <= attempts; ++attempt) {
    std::optional<Uuid> from;
    if (!history.all.empty() && random() % 10 != 0) {  // sometimes it starts from nothing
      const CheckpointRecord taken = history.all[random() % history.all.size()];
      from = taken.id;
      epoch = taken.epoch;
      // What leads to the one taken is its own past, also when it was superseded itself.
      std::vector<CheckpointRecord> line;
      std::optional<CheckpointRecord> end = taken;
      while (end) {
        const std::uint32_t of = end->attempt;
        for (auto one = history.all.rbegin(); one != history.all.rend(); ++one) {
          if (one->attempt == of && one->commit <= end->commit) line.insert(line.begin(), *one);
        }
        const auto before = history.run.attempts[of - 1].continued_from;
        end.reset();
        for (const auto& one : history.all) {
          if (before && one.id == *before) end = one;
        }
      }
      history.line = line;
    } else {
      history.line.clear();
      epoch = 0;
    }
    history.run.attempts.push_back(Attempt{attempt, from, 0, 0, ""});
    for (auto saves = random() % 7; saves > 0; --saves) {
      commit += 1 + random() % 3;
      epoch += static_cast<std::int64_t>(random() % 2);
      const auto number = static_cast<std::uint32_t>(random());
      CheckpointRecord one = checkpoint(number, commit, attempt, epoch);
      one.continued_from = from;
      one.step = static_cast<std::int64_t>(commit) * 10;
      one.nonfinite = random() % 6 == 0;
      one.created_ns = static_cast<std::int64_t>(random() % 2000);
      if (random() % 4 != 0) one.metrics["loss"] = random_metric(random);
      if (random() % 2 == 0) one.metrics["auc"] = random_metric(random);
      if (random() % 5 == 0) one.tags["gold"] = true;
      history.all.push_back(one);
      history.line.push_back(one);
    }
  }
  return history;
}

inline std::vector<Uuid> ids(const std::vector<CheckpointRecord>& checkpoints) {
  std::vector<Uuid> result;
  for (const auto& one : checkpoints) result.push_back(one.id);
  return result;
}

}  // namespace ckp::test

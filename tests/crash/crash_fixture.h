// Work on a store that is recorded, and the look at every state that a crash of it can leave.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ckp/store.h"
#include "support/crash_file_system.h"
#include "support/crash_history.h"
#include "support/crash_states.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/seed.h"
#include "support/temporary_directory.h"

namespace ckp {

class CrashTest : public ::testing::Test {
 protected:
  // Records from now on what is done to a store in a directory of its own.
  void record() {
    root_ = place_ / fmt::format("disk-{}", ++disks_);
    std::filesystem::create_directory(root_);
    disk_ = std::make_shared<test::CrashFileSystem>(root_);
  }
  // Goes on from a state, on a disk where this much of it is synced.
  void record(const test::CrashState& state, test::Disk start) {
    root_ = place_ / fmt::format("disk-{}", ++disks_);
    std::filesystem::create_directory(root_);
    write_state(root_, state);
    disk_ = std::make_shared<test::CrashFileSystem>(root_, std::move(start));
  }
  StoreOptions options() const {
    StoreOptions options;
    options.file_system = disk_;
    options.lock_timeout_ms = 1000;
    return options;
  }
  std::size_t now() const { return disk_->position(); }

  // The operations of a store, each with its entry in the history.
  Store create_store() {
    history_.creating_store(now());
    Store store = Store::create(root_ / "store", options());
    history_.created_store(now());
    return store;
  }
  Store open_store() { return Store::open(root_ / "store", options()); }
  ckp::Run create_run(Store& store, const std::string& name) {
    history_.creating_run(name, now());
    ckp::Run run = store.create_run({.name = name});
    history_.created_run(name, now());
    return run;
  }
  SaveReport save(ckp::Run& run, int version) {
    const std::string name = run.record().name;
    history_.saving(name, version, now());
    const SaveReport report =
        run.save(test::CrashModel(version).dict(), test::CrashModel::save_options(version)).wait();
    history_.saved(name, version, now());
    return report;
  }

  using Place = test::CrashHistory::Place;
  using Keys = std::vector<std::pair<std::string, int>>;  // runs and versions

  // Moves them from one place to another, by `action`.
  void move(const Keys& keys, Place to, const std::function<void()>& action) {
    for (const auto& [run, version] : keys) history_.moving(run, version, to, now());
    action();
    for (const auto& [run, version] : keys) history_.moved(run, version, now());
  }
  static Place place_of_removed(const PruneOptions& options) {
    return options.trash_ns > 0 ? Place::trash : Place::nowhere;
  }
  void remove(Store& store, const std::string& run, const std::vector<int>& versions,
              const PruneOptions& options = {}) {
    std::vector<Uuid> ids;
    for (const CheckpointRecord& checkpoint : store.checkpoints(store.run(run).id)) {
      if (std::count(versions.begin(), versions.end(), checkpoint.epoch) > 0) {
        ids.push_back(checkpoint.id);
      }
    }
    Keys keys;
    for (const int version : versions) keys.emplace_back(run, version);
    move(keys, place_of_removed(options), [&] { store.remove_checkpoints(ids, options); });
  }
  static Keys keys_in_trash(const Store& store) {
    Keys keys;
    for (const TrashedCheckpoint& one : store.trash()) {
      keys.emplace_back(one.run, static_cast<int>(one.checkpoint.epoch));
    }
    return keys;
  }
  // The n-th of the trash, for each of `numbers`.
  void undelete(Store& store, const std::vector<std::size_t>& numbers) {
    const Keys all = keys_in_trash(store);
    const auto trash = store.trash();
    Keys keys;
    std::vector<Uuid> ids;
    for (const std::size_t number : numbers) {
      keys.push_back(all.at(number));
      ids.push_back(trash[number].checkpoint.id);
    }
    move(keys, Place::live, [&] { store.undelete(ids); });
  }
  void empty_trash(Store& store) {
    move(keys_in_trash(store), Place::nowhere, [&] { store.prune({}, {}, {.empty_trash = true}); });
  }
  void remove_run(Store& store, const std::string& run) {
    history_.removing_run(run, now());
    store.remove_run(run);
    history_.removed_run(run, now());
  }
  // Keeps the last `count` of each run.
  PrunePlan prune(Store& store, std::uint32_t count, const PruneOptions& options = {}) {
    KeepPolicy policy;
    policy.last = count;
    const PrunePlan plan = store.plan_prune(policy, {}, options);
    Keys keys;
    for (const PruneEntry& entry : plan.entries) {
      if (entry.decision.keep) continue;
      keys.emplace_back(entry.run, static_cast<int>(entry.decision.checkpoint.epoch));
    }
    move(keys, place_of_removed(options), [&] { store.prune(policy, {}, options); });
    return plan;
  }

  using Look = std::function<std::vector<std::string>(const test::CrashState&)>;
  // Looks at every state that a crash can leave, and reports what is wrong with it. How many.
  std::uint64_t for_each_state(test::CrashLimits limits, const Look& look) {
    limits.milestones.merge(history_.milestones());
    limits.states_per_position = test::effort(limits.states_per_position);
    return for_each_crash_state(disk_->recording(), limits, seed_,
                                [&](const test::CrashState& state) {
                                  const auto problems = look(state);
                                  if (problems.empty()) return;
                                  if (++violations_ <= 3) report(state, problems);
                                });
  }
  // Uses the store in each of them.
  std::uint64_t use_every_state(const test::CrashLimits& limits) {
    return for_each_state(limits, [&](const test::CrashState& state) { return use(state); });
  }
  void expect_no_violations(const std::string& name, std::uint64_t states) {
    test::figure("P1 crash states " + name,
                 fmt::format("{} states, {} violations", states, violations_));
    EXPECT_EQ(violations_, 0u);
  }
  void explore(const std::string& name, const test::CrashLimits& limits) {
    expect_no_violations(name, use_every_state(limits));
  }

  // Makes the state in a fresh directory and uses the store in it. What is wrong.
  std::vector<std::string> use(const test::CrashState& state) {
    const auto directory = place_ / fmt::format("state-{}", ++states_);  // no name twice
    std::filesystem::create_directory(directory);
    write_state(directory, state);
    const bool prune = state.choice / 8 % 4 == 1;
    auto problems = use_after_crash(directory, history_, state.position, prune);
    std::filesystem::remove_all(directory);
    return problems;
  }

  void report(const test::CrashState& state, const std::vector<std::string>& problems) {
    const auto& log = disk_->recording().log;
    std::string text =
        fmt::format("{} after {} operations",
                    state.kind == test::CrashKind::kill ? "kill" : "power cut", state.position);
    for (std::size_t i = state.position - std::min<std::size_t>(state.position, 5);
         i < state.position; ++i) {
      text += fmt::format("\n  done: {}", log[i].text);
    }
    text += state.text;
    for (const std::string& problem : problems) text += "\n" + problem;
    ADD_FAILURE() << text;
  }

  test::TemporaryDirectory place_{test::memory_directory()};
  int disks_ = 0, states_ = 0;
  std::filesystem::path root_;
  std::shared_ptr<test::CrashFileSystem> disk_;
  test::CrashHistory history_;
  std::uint64_t seed_ = test::seed(1);
  std::uint64_t violations_ = 0;
};

}  // namespace ckp

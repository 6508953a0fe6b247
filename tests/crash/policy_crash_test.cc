// Crashes while policies are set, replaced, taken back and applied: what was acknowledged decides,
// and nothing that was never said.
#include "ckp/error.h"
#include "crash_fixture.h"

namespace ckp {
namespace {

class PolicyCrashTest : public CrashTest {
 protected:
  // Each change is told by how many it keeps last; 0: it was taken back.
  void set(Store& store, std::uint32_t last) {
    begun_.push_back(now());
    if (last == 0) {
      store.clear_policy();
    } else {
      store.set_policy({.last = last});
    }
    said_.push_back(last);
    done_.push_back(now());
  }
  static std::size_t said_until(const std::vector<std::size_t>& moments, std::size_t position) {
    return static_cast<std::size_t>(
        std::ranges::count_if(moments, [&](std::size_t moment) { return moment <= position; }));
  }

  std::vector<std::string> look(const test::CrashState& state) {
    const auto directory = place_ / fmt::format("state-{}", ++states_);
    std::filesystem::create_directory(directory);
    write_state(directory, state);
    std::vector<std::string> problems;
    try {
      look_at(Store::open(directory / "store"), state.position, problems);
    } catch (const Error& error) {
      problems.push_back(error.what());
    }
    std::filesystem::remove_all(directory);
    return problems;
  }
  void look_at(Store store, std::size_t position, std::vector<std::string>& problems) const {
    const StoredPolicies policies = store.policies();
    const std::uint32_t found = policies.store ? policies.store->keep.last : 0;
    // What counted when the last was acknowledged, or anything that has been begun since.
    bool is_right = false;
    for (std::size_t i = said_until(done_, position); i <= said_until(begun_, position); ++i) {
      is_right = is_right || found == (i == 0 ? 0 : said_[i - 1]);
    }
    if (!is_right) problems.push_back(fmt::format("a policy for the last {}", found));
    const VerifyReport report = store.verify();
    for (const Finding& finding : report.findings) problems.push_back(finding.message);
    const std::size_t there = store.checkpoints(store.run("cnn").id).size();
    if (found > 0) store.apply_policy();
    const std::size_t left = store.checkpoints(store.run("cnn").id).size();
    if (left != (found == 0 ? there : std::min<std::size_t>(there, found))) {
      problems.push_back(fmt::format("{} of {} are left", left, there));
    }
    store.set_policy({.daily = 1});
    if (store.policies().store->keep.daily != 1) problems.emplace_back("not set");
  }

  std::vector<std::uint32_t> said_;
  std::vector<std::size_t> begun_, done_;
};

TEST_F(PolicyCrashTest, SetReplaceApplyAndClear) {
  record();
  Store store = create_store();
  {
    ckp::Run run = create_run(store, "cnn");
    for (int version = 1; version <= 4; ++version) save(run, version);
  }
  const std::size_t first = now();
  set(store, 3);
  set(store, 2);
  store.apply_policy();
  set(store, 0);
  set(store, 1);
  test::CrashLimits limits{.first = first, .states_per_position = 60};
  limits.milestones.insert(done_.begin(), done_.end());
  const std::uint64_t states =
      for_each_state(limits, [&](const test::CrashState& state) { return look(state); });
  EXPECT_GT(states, 100u);
  expect_no_violations("policies", states);
}

}  // namespace
}  // namespace ckp

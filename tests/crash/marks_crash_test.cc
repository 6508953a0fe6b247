// Crashes while aliases change: what was acknowledged is there, and nothing that was never said.
#include "ckp/error.h"
#include "crash_fixture.h"

namespace ckp {
namespace {

class MarksCrashTest : public CrashTest {
 protected:
  // One change, with the moments at which it was begun and acknowledged.
  void change(const std::function<AliasChange()>& action) {
    begun_.push_back(now());
    changes_.push_back(action());
    done_.push_back(now());
  }

  static std::string text_of(const std::vector<AliasChange>& changes, std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
      text += fmt::format("{} {} {}; ", to_string(changes[i].kind), changes[i].alias,
                          changes[i].to ? changes[i].to->hex() : "-");
    }
    return text;
  }
  static std::size_t reached(const std::vector<std::size_t>& moments, std::size_t position) {
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
    const auto history = store.alias_history();
    const std::string found = text_of(history, history.size());
    const std::size_t least = reached(done_, position), most = reached(begun_, position);
    if (history.size() < least || history.size() > most ||
        found != text_of(changes_, history.size())) {
      problems.push_back(fmt::format("{} to {} changes, found: {}", least, most, found));
      return;
    }
    for (const auto& [name, change] : current_aliases(history)) {
      store.find(parse_address("@" + name));
    }
    const VerifyReport report = store.verify();
    for (const Finding& finding : report.findings) problems.push_back(finding.message);
    const auto first = store.checkpoints(store.run("cnn").id).front();
    store.promote(first, "after");
    if (store.find(parse_address("@after")).id != first.id) problems.emplace_back("not promoted");
  }

  std::vector<AliasChange> changes_;
  std::vector<std::size_t> begun_, done_;
};

TEST_F(MarksCrashTest, PromoteRollBackAndPrune) {
  record();
  Store store = create_store();
  std::vector<CheckpointRecord> saved;
  {
    ckp::Run run = create_run(store, "cnn");
    for (int version = 1; version <= 3; ++version) saved.push_back(save(run, version).checkpoint);
  }
  const std::size_t first = now();
  change([&] { return store.promote(saved[0], "production"); });
  change([&] { return store.promote(saved[1], "production"); });
  change([&] { return store.promote(saved[1], "staging"); });
  change([&] { return store.roll_back("production"); });
  change([&] { return store.remove_alias("staging"); });
  KeepPolicy policy;
  policy.last = 1;
  store.prune(policy);
  test::CrashLimits limits{.first = first, .states_per_position = 60};
  limits.milestones.insert(done_.begin(), done_.end());
  const std::uint64_t states =
      for_each_state(limits, [&](const test::CrashState& state) { return look(state); });
  EXPECT_GT(states, 100u);
  expect_no_violations("aliases", states);
}

}  // namespace
}  // namespace ckp

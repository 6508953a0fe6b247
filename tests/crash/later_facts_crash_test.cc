// Crashes while something is said of checkpoints and runs after their saves: what was acknowledged
// is there, in its order, and the index is as one that is made anew.
#include "ckp/error.h"
#include "crash_fixture.h"

namespace ckp {
namespace {

class LaterFactsCrashTest : public CrashTest {
 protected:
  void say(const std::function<void()>& action) {
    begun_.push_back(now());
    action();
    done_.push_back(now());
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

  // Everything that is said has its number as its text.
  static std::vector<std::string> said(const Store& store) {
    std::map<std::string, bool> numbers;
    const RunRecord run = store.run("cnn");
    for (const LaterFact& fact : run.later) numbers[fact.value.as_string()] = true;
    for (const CheckpointRecord& one : store.checkpoints(run.id)) {
      for (const LaterFact& fact : one.later) numbers[fact.value.as_string()] = true;
    }
    std::vector<std::string> list;
    for (const auto& [number, there] : numbers) list.push_back(number);
    return list;
  }
  // A run's end reaches its journal before the index: of the run only what was said of it.
  using Answers = std::pair<std::vector<LaterFact>, std::vector<CheckpointRecord>>;
  static Answers answers(const Store& store) {
    const RunRecord run = store.run("cnn");
    return {run.later, store.checkpoints(run.id)};
  }

  void look_at(Store store, std::size_t position, std::vector<std::string>& problems) const {
    const auto found = said(store);
    const std::size_t least = reached(done_, position), most = reached(begun_, position);
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i] != std::to_string(i)) problems.push_back("said out of order: " + found[i]);
    }
    if (found.size() < least || found.size() > most) {
      problems.push_back(fmt::format("{} to {} facts, found {}", least, most, found.size()));
    }
    const VerifyReport report = store.verify();
    for (const Finding& finding : report.findings) problems.push_back(finding.message);
    const Answers before = answers(store);
    store.rebuild_index();
    if (answers(store) != before) problems.emplace_back("a rebuilt index answers otherwise");
    store.tag(before.second.back(), {{"after", "x"}});
    if (!store.find(parse_address("cnn")).tags.contains("after")) {
      problems.emplace_back("not tagged");
    }
  }

  std::vector<std::size_t> begun_, done_;
};

TEST_F(LaterFactsCrashTest, TagsNotesAndASaveInBetween) {
  record();
  Store store = create_store();
  ckp::Run run = create_run(store, "cnn");
  std::vector<CheckpointRecord> saved;
  for (int version = 1; version <= 2; ++version) saved.push_back(save(run, version).checkpoint);
  const std::size_t first = now();
  say([&] { store.tag(saved[0], {{"stage", "0"}}); });
  say([&] { store.note(saved[1], "1"); });
  say([&] { store.note(store.run("cnn"), "2"); });
  saved.push_back(save(run, 3).checkpoint);
  say([&] { store.tag(saved[2], {{"stage", "3"}}); });
  run.finish(RunStatus::completed);
  say([&] { store.tag(saved[0], {{"stage", "4"}}); });
  test::CrashLimits limits{.first = first, .states_per_position = 60};
  limits.milestones.insert(done_.begin(), done_.end());
  const std::uint64_t states =
      for_each_state(limits, [&](const test::CrashState& state) { return look(state); });
  EXPECT_GT(states, 100u);
  expect_no_violations("later facts", states);
}

}  // namespace
}  // namespace ckp

// An index that was damaged is made anew by whoever asks it first, and that one is told.
#include <functional>

#include "ckp/repair.h"
#include "store_fixture.h"
#include "support/state_block.h"

namespace ckp {
namespace {

using test::StoreTest;

class DamagedIndexTest : public StoreTest {
 protected:
  void SetUp() override {
    Store store = Store::create(path());
    ckp::Run run = store.create_run(run_options("a"));
    save(run, 1);
    run.finish(RunStatus::completed);
  }
  void leave_a_commit_unfinished() const {
    test::change_state_block(path(), [](format::StateBlock& block) { ++block.begin; });
  }
  // Asks a store of its own.
  std::optional<std::string> told() const {
    const Store store = Store::open(path());
    EXPECT_FALSE(store.index_damage()) << "nobody has looked";
    EXPECT_EQ(store.checkpoints(store.run("a").id).size(), 1u);
    return store.index_damage();
  }
};

TEST_F(DamagedIndexTest, IsToldOnce) {
  for (const bool unfinished : {false, true}) {
    test::rot_index(path());
    if (unfinished) leave_a_commit_unfinished();
    const auto message = told();
    ASSERT_TRUE(message.has_value());
    for (const std::string& word :
         {(path() / "index").string(), std::string("was damaged"), std::string("made anew"),
          "ckptool verify " + path().string()}) {
      EXPECT_NE(message->find(word), std::string::npos) << word << " in: " << *message;
    }
    EXPECT_EQ(message->find("rebuild-index"), std::string::npos) << "it is done: " << *message;
    EXPECT_FALSE(told());
  }
}

TEST_F(DamagedIndexTest, OneThatIsMissingOrBehindIsNoDamage) {
  leave_a_commit_unfinished();
  EXPECT_FALSE(told());
  std::filesystem::remove_all(path() / "index");
  EXPECT_FALSE(told());
}

// A symbolic link to a disk that is away. What is on it can be made anew, so the link goes.
TEST_F(DamagedIndexTest, ALinkToNowhereInItsPlaceGivesWay) {
  const auto index = path() / "index";
  const std::vector<std::function<void()>> ways = {
      [&] { EXPECT_EQ(Store::open(path()).runs().size(), 1u); },
      [&] { EXPECT_EQ(Store::open(path()).rebuild_index().checkpoints, 1u); },
      [&] { EXPECT_TRUE(Store::open(path()).verify().clean()); },
      [&] { EXPECT_TRUE(repair(path()).restores_all()); }};
  for (std::size_t way = 0; way < ways.size(); ++way) {
    SCOPED_TRACE(way);
    std::filesystem::remove_all(index);
    std::filesystem::create_directory_symlink(directory_ / "away", index);
    ways[way]();
    EXPECT_TRUE(std::filesystem::is_directory(std::filesystem::symlink_status(index)));
    for (const auto& entry : std::filesystem::directory_iterator(path())) {
      EXPECT_FALSE(entry.path().filename().string().starts_with("index.")) << entry.path();
    }
  }
}

}  // namespace
}  // namespace ckp

// Files that change between a repair's plan and its work: it gives up, and has changed nothing.
#include <fstream>

#include "repair_fixture.h"
#include "support/hooked_file_system.h"

namespace ckp {
namespace {

using test::expect_error;
using test::HookedFileSystem;
using test::read_bytes;
using test::RepairTest;
using test::SmallState;
using test::write_bytes;

class RepairRaceTest : public RepairTest {
 protected:
  // Repairs; `change` comes when the plan is made, and the first original is copied aside.
  void expect_given_up(const std::string& about, const std::function<void()>& change) {
    const auto hooked = std::make_shared<HookedFileSystem>();
    std::map<std::string, std::vector<std::byte>> expected;
    hooked->before = [&](const std::string& operation) {
      const std::string folder = (path() / "set-aside").string() + "/";
      if (operation.compare(0, 5 + folder.size(), "open " + folder) != 0) return;
      hooked->before = nullptr;
      change();
      expected = everything();
    };
    expect_error(ErrorCode::locked, about, [&] { repair(path(), {}, {.file_system = hooked}); });
    EXPECT_FALSE(hooked->before) << "it was changed";
    EXPECT_EQ(everything(), expected);
    EXPECT_FALSE(std::filesystem::exists(path() / "set-aside"));
  }
  static void append_to(const std::filesystem::path& file) {
    std::ofstream(file, std::ios::app) << "more";
  }
};

TEST_F(RepairRaceTest, APack) {
  flip_manifest(packs_[4], 1);
  expect_given_up("was changed", [&] { append_to(packs_[4]); });
  repair_and_check({packs_[4]});
}

// One without a file, which is to be made again from identical chunks.
TEST_F(RepairRaceTest, APackThatComesBack) {
  std::filesystem::path needed = packs_[1];
  {
    Store store = Store::open(path());
    ckp::Run run = store.resume_run("cnn");
    SaveOptions options;
    options.epoch = options.step = 5;
    const SmallState again = state(1);
    const auto fifth = run.save(again.dict(), options).wait().checkpoint;
    const Uuid pack = store.open_checkpoint(fifth).manifest().references.at(0).address.pack;
    if (pack == twin_.id) needed = store.open_checkpoint(twin_).name();
  }
  const auto bytes = read_bytes(needed);
  std::filesystem::remove(needed);
  flip_manifest(packs_[4], 1);
  expect_given_up("was changed", [&] { write_bytes(needed, bytes); });
}

TEST_F(RepairRaceTest, AJournal) {
  flip(journal(), 50);
  expect_given_up("was changed", [&] { append_to(journal()); });
  repair_and_check({journal()});
}

TEST_F(RepairRaceTest, AJournalThatComesBack) {
  const auto file = journal();
  const auto bytes = read_bytes(file);
  std::filesystem::remove(file);
  flip_manifest(packs_[4], 1);
  expect_given_up("was changed", [&] { write_bytes(file, bytes); });
  repair_and_check({packs_[4]});
}

TEST_F(RepairRaceTest, TheFileStoreMendedByAnother) {
  const auto sound = read_bytes(path() / "STORE");
  flip(path() / "STORE", 45);
  expect_given_up("was changed", [&] { write_bytes(path() / "STORE", sound); });
  expect_clean();
}

TEST_F(RepairRaceTest, TheFileStoreMadeByAnother) {
  const auto sound = read_bytes(path() / "STORE");
  std::filesystem::remove(path() / "STORE");
  flip_manifest(packs_[4], 1);
  expect_given_up("was changed", [&] { write_bytes(path() / "STORE", sound); });
  repair_and_check({packs_[4]});
}

TEST_F(RepairRaceTest, ARunThatIsTrainedAgain) {
  flip(journal(), 50);
  std::optional<ckp::Run> run;
  expect_given_up("has begun to train", [&] {
    Store store = Store::open(path());
    run.emplace(store.resume_run("cnn"));
  });
}

}  // namespace
}  // namespace ckp

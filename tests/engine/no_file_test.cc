// Directories and pipes in the places of a store's files: each is named, stops nobody who does not
// need it, and is never waited for.
#include <sys/stat.h>

#include <algorithm>
#include <functional>

#include "repair_fixture.h"

namespace ckp {
namespace {

using test::RepairTest;

class NoFileTest : public RepairTest {
 protected:
  static void put_directory(const std::filesystem::path& path) {
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
  }
  static void put_pipe(const std::filesystem::path& path) {
    std::filesystem::remove(path);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  }
  static bool is_named(const VerifyReport& report, const std::filesystem::path& path) {
    return std::ranges::any_of(report.findings, [&](const Finding& finding) {
      return finding.path == path.string() || finding.message.find(path) != std::string::npos;
    });
  }
  static std::string refusal(const std::function<void()>& action) {
    try {
      action();
      return "it was not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::corrupt);
      return error.what();
    }
  }
  // With the same words by the plan and by the repair, and nothing is touched.
  void expect_plan_and_repair_refuse(const std::filesystem::path& place) const {
    const std::string planned = refusal([&] { plan_repair(path()); });
    EXPECT_EQ(planned.find(place.string() + ": is a "), 0u) << planned;
    EXPECT_NE(planned.find("move it away"), std::string::npos) << planned;
    EXPECT_EQ(planned, refusal([&] { repair(path()); }));
    EXPECT_FALSE(std::filesystem::exists(path() / "set-aside"));
  }
  void expect_others_are_used(const std::vector<std::int64_t>& epochs_left) {
    Store store = Store::open(path());
    store.rebuild_index();
    std::vector<std::int64_t> epochs;
    for (const auto& one : store.checkpoints(store.run("cnn").id)) epochs.push_back(one.epoch);
    EXPECT_EQ(epochs, epochs_left);
    EXPECT_EQ(store.resume_run("twin").continued_from()->record().id, twin_.id);
  }
};

TEST_F(NoFileTest, InPlaceOfAPack) {
  for (const auto put : {&put_directory, &put_pipe}) {
    put(packs_[4]);
    const VerifyReport found = Store::open(path()).verify();
    EXPECT_TRUE(is_named(found, packs_[4]));
    EXPECT_FALSE(plan_repair(path()).nothing_to_do());
    expect_others_are_used({1, 2, 3});
    std::filesystem::remove(packs_[4]);
  }
}

TEST_F(NoFileTest, InPlaceOfAJournal) {
  const auto path_of_journal = journal();
  for (const auto put : {&put_directory, &put_pipe}) {
    put(path_of_journal);
    EXPECT_TRUE(is_named(Store::open(path()).verify(), path_of_journal));
    expect_plan_and_repair_refuse(path_of_journal);
    expect_others_are_used({1, 2, 3, 4});
    std::filesystem::remove(path_of_journal);
  }
}

TEST_F(NoFileTest, InPlaceOfTheStoresIdentity) {
  for (const auto put : {&put_directory, &put_pipe}) {
    put(path() / "STORE");
    test::expect_error(ErrorCode::corrupt, "STORE: is a", [&] { Store::open(path()); });
    expect_plan_and_repair_refuse(path() / "STORE");
    std::filesystem::remove(path() / "STORE");
  }
}

TEST_F(NoFileTest, InPlaceOfTheLockFile) {
  for (const auto put : {&put_directory, &put_pipe}) {
    put(path() / "lock");
    expect_plan_and_repair_refuse(path() / "lock");
    std::filesystem::remove(path() / "lock");
  }
}

// A file where the folder of originals belongs.
TEST_F(NoFileTest, InPlaceOfSetAside) {
  flip_payload(packs_[4]);
  const auto place = path() / "set-aside";
  const auto expect_refusals = [&] {
    for (const auto& action : {std::function<void()>([&] { plan_repair(path()); }),
                               std::function<void()>([&] { repair(path()); })}) {
      test::expect_error(ErrorCode::already_exists, place.string(), action);
      test::expect_error(ErrorCode::already_exists, "move it away; nothing was changed", action);
    }
  };
  test::write_bytes(place, std::vector<std::byte>(3));
  expect_refusals();
  std::filesystem::remove(place);
  std::filesystem::create_directory_symlink(directory_ / "nothing", place);
  expect_refusals();
  std::filesystem::remove(place);
  EXPECT_FALSE(repair(path()).nothing_to_do());
}

TEST_F(NoFileTest, InPlaceOfTheMarks) {
  Store::open(path()).promote(saved_[2], "production");
  for (const auto put : {&put_directory, &put_pipe}) {
    put(path() / "marks");
    EXPECT_TRUE(is_named(Store::open(path()).verify(), path() / "marks"));
    expect_plan_and_repair_refuse(path() / "marks");
    std::filesystem::remove(path() / "marks");
  }
}

}  // namespace
}  // namespace ckp

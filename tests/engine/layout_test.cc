#include "store/layout.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace ckp {
namespace {

using test::expect_error;

const std::string hex = "00112233445566778899aabbccddeeff";
Uuid uuid() { return *Uuid::from_hex(hex); }

TEST(Layout, Paths) {
  const StoreLayout layout{.root = "/s"};
  EXPECT_EQ(layout.identity(), "/s/STORE");
  EXPECT_EQ(layout.run("r"), "/s/runs/r");
}

TEST(Layout, PackNamesOfEveryState) {
  const PackName live{.state = PackState::live, .uuid = uuid(), .commit = 42, .step = 1000};
  const std::string name = "0000000042-000001000-" + hex + ".ckp";
  EXPECT_EQ(to_file_name(live), name);
  EXPECT_EQ(parse_pack_name(name), live);

  PackName retired = live;
  retired.state = PackState::retired;
  retired.retired = 77;
  EXPECT_EQ(to_file_name(retired), name + ".retired-0000000077");
  EXPECT_EQ(parse_pack_name(name + ".retired-0000000077"), retired);

  PackName dead = live;
  dead.state = PackState::dead;
  EXPECT_EQ(to_file_name(dead), name + ".dead");
  EXPECT_EQ(parse_pack_name(name + ".dead"), dead);

  const PackName temporary{.state = PackState::temporary, .uuid = uuid(), .began = 41};
  EXPECT_EQ(to_file_name(temporary), "0000000041-" + hex + ".tmp");
  EXPECT_EQ(parse_pack_name(to_file_name(temporary)), temporary);
}

TEST(Layout, NamesOfTheTrash) {
  PackName name{.state = PackState::retired, .uuid = uuid(), .commit = 42, .step = 1000};
  name.retired = 77;
  name.trash_until = 1'800'000'000;
  const std::string live = "0000000042-000001000-" + hex + ".ckp";
  EXPECT_EQ(to_file_name(name), live + ".trash-0000000077-1800000000");
  EXPECT_EQ(parse_pack_name(to_file_name(name)), name);
  EXPECT_TRUE(name.in_trash());
  EXPECT_TRUE(name.is_kept());
  name.trash_until = max_trash_until;
  EXPECT_EQ(parse_pack_name(to_file_name(name)), name);
  for (const std::string end : {".trash-0000000077", ".trash-0000000077-", ".trash-0000000077-0",
                                ".trash-0000000077-0000000000", ".trash-0000000077--000000001",
                                ".trash-0000000077-9223372037", ".trash-77-1800000000",
                                ".trash-0000000077-1800000000.dead", ".trash--1800000000"}) {
    EXPECT_FALSE(parse_pack_name(live + end)) << end;
  }
  name.state = PackState::dead;
  EXPECT_EQ(to_file_name(name), live + ".dead");
}

TEST(Layout, LargeNumbersSurvive) {
  const PackName name{.state = PackState::retired,
                      .uuid = uuid(),
                      .commit = max_commit,
                      .step = INT64_MAX,
                      .retired = max_commit};
  EXPECT_EQ(parse_pack_name(to_file_name(name)), name);
}

TEST(Layout, NumbersAfterWhichNoneIsLeftMakeNoName) {
  const PackName good{.state = PackState::retired, .uuid = uuid(), .commit = 7, .retired = 8};
  for (const std::uint64_t number : {max_commit + 1, ~std::uint64_t{0}}) {
    PackName commit = good, retired = good;
    commit.commit = retired.retired = number;
    EXPECT_FALSE(parse_pack_name(to_file_name(commit)));
    EXPECT_FALSE(parse_pack_name(to_file_name(retired)));
    const PackName began{.state = PackState::temporary, .uuid = uuid(), .began = number};
    EXPECT_FALSE(parse_pack_name(to_file_name(began)));
  }
  const JournalName journal{.attempt = max_attempt, .journal = uuid()};
  EXPECT_EQ(parse_journal_name(to_file_name(journal)), journal);
  EXPECT_FALSE(parse_journal_name(to_file_name({.attempt = max_attempt + 1, .journal = uuid()})));
  EXPECT_FALSE(parse_journal_name(to_file_name({.attempt = UINT32_MAX, .journal = uuid()})));
}

TEST(Layout, NegativeStepsHaveNoName) {
  expect_error(ErrorCode::invalid_argument, "a checkpoint's step is -1", [] {
    (void)to_file_name(PackName{.state = PackState::live, .uuid = uuid(), .step = -1});
  });
}

TEST(Layout, ForeignFileNamesAreNoPacks) {
  const std::string good = "0000000042-000001000-" + hex + ".ckp";
  ASSERT_TRUE(parse_pack_name(good));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse_pack_name(good.substr(0, size))) << size;
  }
  for (const std::string& name :
       {good + "x", good + ".retired-", good + ".retired-07", good + ".retired--1",
        good + ".dead.dead", " " + good, "42-1000-" + hex + ".ckp",
        "0000000042--000001000-" + hex + ".ckp", "0000000042--000001000-" + hex + ".ckp",
        "99999999999999999999999-000001000-" + hex + ".ckp",
        std::string("0000000042-000001000-00112233445566778899AABBCCDDEEFF.ckp"),
        std::string("best_final_2.pt"), "41-" + hex + ".tmp", "0000000041-" + hex + ".tmp.dead",
        "0000000041-" + hex}) {
    EXPECT_FALSE(parse_pack_name(name)) << name;
  }
}

TEST(Layout, DirectoriesListInTheOrderOfCommits) {
  PackName older{.state = PackState::live, .uuid = uuid(), .commit = 9, .step = 5000};
  PackName newer{.state = PackState::live, .uuid = Uuid{}, .commit = 10, .step = 7};
  EXPECT_LT(to_file_name(older), to_file_name(newer));
}

TEST(Layout, JournalNames) {
  const JournalName name{.attempt = 3, .journal = uuid()};
  EXPECT_EQ(to_file_name(name), "journal-000003-" + hex);
  EXPECT_EQ(parse_journal_name(to_file_name(name)), name);
  for (const std::string& other :
       {"journal-3-" + hex, "journal-000003-" + hex + "~", std::string("journal-000003-"),
        "journal--00003-" + hex, "journal-99999999999-" + hex}) {
    EXPECT_FALSE(parse_journal_name(other)) << other;
  }
}

TEST(Layout, RunDirectories) {
  EXPECT_EQ(run_directory_name("cnn-lr3", uuid()), "cnn-lr3-" + hex);
  EXPECT_EQ(run_directory_name("Größe / Test (2)", uuid()), "gr-e-test-2-" + hex);
  EXPECT_EQ(run_directory_name("../../etc", uuid()), "etc-" + hex);
  EXPECT_EQ(run_directory_name(".hidden", uuid()), "hidden-" + hex);
  EXPECT_EQ(run_directory_name("模型", uuid()), "run-" + hex);
  EXPECT_EQ(run_directory_name(std::string(200, 'a'), uuid()), std::string(40, 'a') + "-" + hex);
  for (const char* name : {"cnn-lr3", "模型", "a-b", "-"}) {
    EXPECT_EQ(parse_run_directory(run_directory_name(name, uuid())), uuid()) << name;
  }
}

TEST(Layout, ForeignDirectoriesAreNoRuns) {
  for (const std::string& name :
       {std::string(), hex, "-" + hex, "a" + hex, "a-" + hex + "0", "a/b-" + hex,
        std::string("a-00112233445566778899AABBCCDDEEFF"), std::string("lost+found")}) {
    EXPECT_FALSE(parse_run_directory(name)) << name;
  }
}

}  // namespace
}  // namespace ckp

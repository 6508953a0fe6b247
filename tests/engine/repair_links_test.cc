// Symbolic links in place of packs: as good as the file as long as they lead to it, and never taken
// for a file that is gone.
#include "repair_fixture.h"
#include "support/hooked_file_system.h"

namespace ckp {
namespace {

using test::RepairTest;

class RepairLinksTest : public RepairTest {
 protected:
  // Where the pack is afterwards.
  std::filesystem::path put_link_in_place_of(int epoch) {
    const auto elsewhere = directory_ / packs_[epoch].filename();
    std::filesystem::rename(packs_[epoch], elsewhere);
    std::filesystem::create_symlink(elsewhere, packs_[epoch]);
    return elsewhere;
  }
};

TEST_F(RepairLinksTest, OneThatLeadsToItsPackIsThePack) {
  put_link_in_place_of(4);
  EXPECT_TRUE(Store::open(path()).verify().clean());
  EXPECT_TRUE(repair(path()).nothing_to_do());
}

// Epoch 3 refers to the chunks of epoch 2.
TEST_F(RepairLinksTest, OneThatLeadsNowhereIsNamedAndLeftWithWhatRefersToIt) {
  for (const int epoch : {4, 2}) {
    SCOPED_TRACE(epoch);
    const auto elsewhere = put_link_in_place_of(epoch);
    std::filesystem::rename(elsewhere, directory_ / "away");
    const VerifyReport found = Store::open(path()).verify();
    ASSERT_EQ(found.findings.size(), 1u);
    EXPECT_EQ(found.findings[0].path, packs_[epoch].string());
    EXPECT_EQ(found.findings[0].checkpoint, saved_[epoch].id.hex());
    EXPECT_NE(found.findings[0].message.find("leads nowhere"), std::string::npos);
    EXPECT_FALSE(found.findings[0].index);

    const RepairReport done = repair(path());
    ASSERT_EQ(done.steps.size(), 1u);
    EXPECT_EQ(to_string(done.steps[0].action), "leave");
    EXPECT_EQ(done.steps[0].path, packs_[epoch].string());
    EXPECT_FALSE(done.restores_all());
    EXPECT_TRUE(std::filesystem::is_symlink(packs_[epoch]));
    std::filesystem::rename(directory_ / "away", elsewhere);
    expect_clean();
    expect_epochs({1, 2, 3, 4});
  }
}

// A journal, and the marks: as a pack.
TEST_F(RepairLinksTest, OtherFilesAreLeftToo) {
  Store::open(path()).promote(saved_[2], "production");
  for (const auto& file : {journal(), path() / "marks"}) {
    SCOPED_TRACE(file);
    std::filesystem::rename(file, directory_ / "away");
    std::filesystem::create_symlink(directory_ / "elsewhere", file);
    const VerifyReport found = Store::open(path()).verify();
    ASSERT_EQ(found.findings.size(), 1u);
    EXPECT_EQ(found.findings[0].path, file.string());
    const RepairReport done = repair(path());
    ASSERT_EQ(done.steps.size(), 1u);
    EXPECT_EQ(to_string(done.steps[0].action), "leave");
    EXPECT_EQ(done.steps[0].path, file.string());
    EXPECT_NE(done.steps[0].message.find("may be away: mount it"), std::string::npos);
    ASSERT_TRUE(std::filesystem::is_symlink(file));
    std::filesystem::rename(directory_ / "away", directory_ / "elsewhere");
    expect_clean();
    expect_epochs({1, 2, 3, 4});
    std::filesystem::remove(file);
    std::filesystem::rename(directory_ / "elsewhere", file);
  }
}

// Neither answered without them nor written over.
TEST_F(RepairLinksTest, MarksThatAreAwayAreNotEmpty) {
  std::filesystem::create_symlink(directory_ / "elsewhere", path() / "marks");
  Store store = Store::open(path());
  test::expect_error(ErrorCode::io, "mount it", [&] { store.alias_history(); });
  test::expect_error(ErrorCode::io, "mount it", [&] { store.promote(saved_[2], "production"); });
  EXPECT_TRUE(std::filesystem::is_symlink(path() / "marks"));
}

TEST_F(RepairLinksTest, OneThatLeadsToItselfLeadsNowhere) {
  std::filesystem::remove(packs_[4]);
  std::filesystem::create_symlink(packs_[4], packs_[4]);
  const VerifyReport found = Store::open(path()).verify();
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings[0].path, packs_[4].string());
  EXPECT_NE(found.findings[0].message.find("leads nowhere"), std::string::npos);
  const RepairReport done = repair(path());
  ASSERT_EQ(done.steps.size(), 1u);
  EXPECT_EQ(to_string(done.steps[0].action), "leave");
  EXPECT_TRUE(std::filesystem::is_symlink(packs_[4]));
}

TEST_F(RepairLinksTest, BesideTheRealFileOnlyTheLinkIsNamed) {
  auto name = *parse_pack_name(packs_[4].filename().string());
  name.commit += 100;
  const auto link = run_directory_ / to_file_name(name);
  std::filesystem::create_symlink(directory_ / "nothing", link);
  const VerifyReport found = Store::open(path()).verify();
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings[0].path, link.string());
  const RepairReport done = repair(path());
  ASSERT_EQ(done.steps.size(), 1u);
  EXPECT_EQ(to_string(done.steps[0].action), "leave");
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  expect_epochs({1, 2, 3, 4});
}

// What the link's pack refers to nobody knows.
TEST_F(RepairLinksTest, NothingIsCollectedBesideOne) {
  std::filesystem::rename(put_link_in_place_of(4), directory_ / "away");
  EXPECT_EQ(Store::open(path()).remove_checkpoints(std::vector{saved_[1].id}), 0u);
  std::size_t retired = 0;
  for (const auto& entry : std::filesystem::directory_iterator(run_directory_)) {
    const auto name = parse_pack_name(entry.path().filename().string());
    if (name && name->uuid == saved_[1].id && name->state == PackState::retired) ++retired;
  }
  EXPECT_EQ(retired, 1u);
}

TEST_F(RepairLinksTest, APackThatIsPrunedWhileItIsLookedForIsNoFinding) {
  const auto hooked = std::make_shared<test::HookedFileSystem>();
  const Store store = Store::open(path(), {.file_system = hooked});
  hooked->before = [&](const std::string& operation) {
    if (operation != "status " + packs_[4].string()) return;
    hooked->before = nullptr;
    Store::open(path()).remove_checkpoints(std::vector{saved_[4].id});
  };
  const VerifyReport found = store.verify();
  EXPECT_FALSE(hooked->before) << "it was pruned";
  for (const Finding& finding : found.findings) ADD_FAILURE() << finding.message;
  expect_epochs({1, 2, 3});
}

}  // namespace
}  // namespace ckp

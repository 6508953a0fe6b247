// The file `marks` damaged or gone: verify names it, nothing is deleted, and repair mends it.
#include "repair_fixture.h"
#include "support/hooked_file_system.h"

namespace ckp {
namespace {

using test::expect_error;
using test::read_bytes;
using test::RepairTest;
using test::write_bytes;

class RepairMarksTest : public RepairTest {
 protected:
  void SetUp() override {
    RepairTest::SetUp();
    Store::open(path()).promote(saved_[2], "production", {"good", {}});
  }
  std::filesystem::path marks() const { return path() / "marks"; }
  Uuid production() const { return Store::open(path()).find(parse_address("@production")).id; }
  void expect_finding() const {
    const VerifyReport report = Store::open(path()).verify();
    ASSERT_EQ(report.findings.size(), 1u);
    EXPECT_EQ(report.findings[0].path, marks().string());
    EXPECT_NE(report.findings[0].message.find(marks().string()), std::string::npos);
  }
  RepairReport repair_marks(bool restores) {
    expect_finding();
    const RepairReport report = repair(path());
    EXPECT_EQ(report.steps.size(), 1u);
    EXPECT_EQ(report.steps.at(0).action, RepairAction::mend_marks);
    EXPECT_EQ(report.restores_all(), restores);
    EXPECT_TRUE(Store::open(path()).verify().clean());
    EXPECT_TRUE(repair(path()).nothing_to_do());
    return report;
  }
  // Nobody can say what the alias points at: no answer, and no deletion.
  void expect_refusals() const {
    Store store = Store::open(path());
    const std::string name = marks().string();
    KeepPolicy policy;
    policy.last = 1;
    const Uuid other = twin_.id;
    expect_error(ErrorCode::corrupt, name, [&] { store.find(parse_address("@production")); });
    expect_error(ErrorCode::corrupt, name, [&] { store.alias_history(); });
    expect_error(ErrorCode::corrupt, name, [&] { store.promote(twin_, "staging"); });
    expect_error(ErrorCode::corrupt, name, [&] { store.plan_prune(policy); });
    expect_error(ErrorCode::corrupt, name, [&] { store.prune(policy); });
    expect_error(ErrorCode::corrupt, name, [&] { store.remove_checkpoints(std::span(&other, 1)); });
    expect_error(ErrorCode::corrupt, name, [&] { store.remove_run("twin"); });
    EXPECT_EQ(store.checkpoints(store.run("cnn").id).size(), 4u);
    EXPECT_EQ(store.find(parse_address("cnn@2")).id, saved_.at(2).id);
  }
  void expect_started_anew() {
    repair_marks(false);
    Store store = Store::open(path());
    EXPECT_TRUE(store.alias_history().empty());
    store.promote(twin_, "staging");
    EXPECT_EQ(store.find(parse_address("@staging")).id, twin_.id);
  }
};

TEST_F(RepairMarksTest, EitherCopyIsMendedFromTheOther) {
  const std::uint64_t half = std::filesystem::file_size(marks()) / 2;
  for (const std::uint64_t at : {half / 2, half + half / 2}) {
    const auto before = read_bytes(marks());
    flip(marks(), at);
    EXPECT_EQ(production(), saved_[2].id);
    const RepairReport report = repair_marks(true);
    EXPECT_EQ(production(), saved_[2].id);
    EXPECT_EQ(Store::open(path()).alias_history().at(0).note, "good");
    auto damaged = before;
    damaged[at] ^= std::byte{0x10};
    EXPECT_EQ(read_bytes(std::filesystem::path(report.set_aside) / "marks"), damaged);
  }
}

TEST_F(RepairMarksTest, CutOff) {
  std::filesystem::resize_file(marks(), std::filesystem::file_size(marks()) / 2);
  EXPECT_EQ(production(), saved_[2].id);
  repair_marks(true);
  EXPECT_EQ(production(), saved_[2].id);
}

TEST_F(RepairMarksTest, BothCopiesLost) {
  std::filesystem::resize_file(marks(), std::filesystem::file_size(marks()) / 3);
  expect_refusals();
  expect_started_anew();
}

TEST_F(RepairMarksTest, Missing) {
  std::filesystem::remove(marks());
  expect_refusals();
  expect_started_anew();
}

TEST_F(RepairMarksTest, OfAnotherStore) {
  {
    Store other = Store::create(directory_ / "other");
    ckp::Run run = other.create_run(run_options("other"));
    other.promote(save(run, 1), "production");
  }
  std::filesystem::copy_file(directory_ / "other" / "marks", marks(),
                             std::filesystem::copy_options::overwrite_existing);
  expect_refusals();
  expect_started_anew();
}

// Where STORE is written anew it still says that there are marks.
TEST_F(RepairMarksTest, BesideADamagedStoreFile) {
  flip(path() / "STORE", 50);
  EXPECT_TRUE(repair(path()).restores_all());
  EXPECT_EQ(production(), saved_[2].id);
  std::filesystem::remove(marks());
  expect_refusals();
}

// Nothing but the marks is left to say who the store is.
TEST_F(RepairMarksTest, BesideALostStoreAndLockFile) {
  const Uuid uuid = Store::open(path()).uuid();
  std::filesystem::remove(path() / "STORE");
  std::filesystem::remove(path() / "lock");
  repair(path());
  EXPECT_EQ(Store::open(path()).uuid(), uuid);
  EXPECT_EQ(production(), saved_[2].id);
}

TEST_F(RepairMarksTest, AnAliasWhoseCheckpointWasLostIsNamed) {
  std::filesystem::remove(packs_[2]);
  {
    Store store = Store::open(path());
    store.rebuild_index();
    expect_error(ErrorCode::not_found, "alias production points at", [&] { production(); });
  }
  const auto named = [&] {
    for (const Finding& finding : Store::open(path()).verify().findings) {
      if (finding.path == marks().string()) return finding.checkpoint;
    }
    return std::string();
  };
  EXPECT_EQ(named(), saved_[2].id.hex());
  Store::open(path()).promote(saved_[4], "production");
  EXPECT_EQ(named(), "");
}

TEST_F(RepairMarksTest, NotBehindTheBackOfAPromotion) {
  flip(marks(), std::filesystem::file_size(marks()) / 4);
  const auto hooked = std::make_shared<test::HookedFileSystem>();
  hooked->before = [&](const std::string& operation) {
    if (operation.compare(0, 5, "open ") != 0 || operation.find("set-aside") == std::string::npos) {
      return;
    }
    hooked->before = nullptr;
    Store::open(path()).promote(twin_, "staging");
  };
  expect_error(ErrorCode::locked, "marks", [&] { repair(path(), {}, {.file_system = hooked}); });
  EXPECT_TRUE(repair(path()).nothing_to_do()) << "the promotion has written both copies";
  EXPECT_EQ(Store::open(path()).alias_history().size(), 2u);
}

}  // namespace
}  // namespace ckp

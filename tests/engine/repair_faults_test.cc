// A repair that is cut off at any point: the next one finishes it, and nothing is lost on the way.
#include "repair_fixture.h"
#include "support/faulty_file_system.h"
#include "support/figure.h"

namespace ckp {
namespace {

using test::Fault;
using test::FaultyFileSystem;
using test::read_bytes;
using test::RepairTest;
using test::write_bytes;

class RepairFaultsTest : public RepairTest {
 protected:
  void damage_everything() {
    flip_payload(packs_[1]);  // mended from its twin
    flip_payload(packs_[2]);  // epochs 2 and 3 salvaged
    write_bytes(packs_[4], std::vector<std::byte>(std::filesystem::file_size(packs_[4])));
    flip(journal(), 50);
    std::filesystem::rename(path(), directory_ / "damaged");
  }
  void start_anew() {
    std::filesystem::remove_all(path());
    std::filesystem::copy(directory_ / "damaged", path(), std::filesystem::copy_options::recursive);
  }
  // Whether some folder of set-aside has this file as it was damaged.
  bool is_kept(const std::filesystem::path& file) const {
    const auto below = file.lexically_relative(path());
    for (const auto& entry : std::filesystem::directory_iterator(path() / "set-aside")) {
      const auto kept = entry.path() / below;
      if (!std::filesystem::exists(kept)) continue;
      if (read_bytes(kept) == read_bytes(directory_ / "damaged" / below)) return true;
    }
    return false;
  }
  void expect_repaired() {
    expect_clean();
    expect_epochs({1});
    std::set<std::int64_t> found;
    const auto all = salvaged();
    for (const CheckpointRecord& one : all) {
      found.insert(one.epoch);
      expect_salvaged(one, static_cast<int>(one.epoch), {"model/large"});
    }
    EXPECT_EQ(found, (std::set<std::int64_t>{2, 3}));
    EXPECT_EQ(all.size(), 2u) << "each once";
    for (const int epoch : {1, 2, 3, 4}) EXPECT_TRUE(is_kept(packs_[epoch])) << epoch;
  }
};

bool changes_something(const std::string& operation) {
  for (const char* const kind : {"create", "write", "sync", "truncate", "rename", "remove",
                                 "make_directory", "close", "reserve"}) {
    if (operation.starts_with(kind)) return true;
  }
  return false;
}

TEST_F(RepairFaultsTest, CutOffAnywhereTheNextOneFinishes) {
  damage_everything();
  std::uint64_t points = 0;
  for (bool cut_off = true; cut_off; ++points) {
    SCOPED_TRACE(points + 1);
    start_anew();
    const auto faulty = std::make_shared<FaultyFileSystem>(posix_file_system(), path());
    Fault fault;
    fault.at = points + 1;
    fault.forever = true;
    fault.only = changes_something;
    faulty->plan(fault);
    try {
      repair(path(), {}, {.file_system = faulty});
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::corrupt) << error.what();
    }
    cut_off = faulty->failures() > 0;
    repair(path());
    expect_repaired();
    if (HasFailure()) FAIL() << "first failure: " << faulty->first_failure();
  }
  EXPECT_GT(points, 40u);
  test::figure("repair cut off", fmt::format("{} points, 0 violations", points - 1));
}

TEST_F(RepairFaultsTest, OneFailingOperationChangesNothingOrIsMadeUpFor) {
  damage_everything();
  std::uint64_t points = 0, unchanged = 0;
  for (bool failed = true; failed; points += 3) {
    SCOPED_TRACE(points + 1);
    start_anew();
    const auto before = everything();
    const auto faulty = std::make_shared<FaultyFileSystem>(posix_file_system(), path());
    Fault fault;
    fault.at = points + 1;
    fault.code = ErrorCode::out_of_space;
    fault.only = changes_something;
    faulty->plan(fault);
    try {
      repair(path(), {}, {.file_system = faulty});
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::corrupt) << error.what();
      if (std::string(error.what()).ends_with("nothing was changed")) {
        ++unchanged;
        EXPECT_EQ(everything(), before);
        EXPECT_FALSE(std::filesystem::exists(path() / "set-aside"));
      }
    }
    failed = faulty->failures() > 0;
    repair(path());
    expect_repaired();
    if (HasFailure()) FAIL() << "first failure: " << faulty->first_failure();
  }
  EXPECT_GT(unchanged, 5u);
}

// The disk stays full: copies are taken away again, and what cannot be said is not left half said.
TEST_F(RepairFaultsTest, AFullDiskLeavesNoCopies) {
  damage_everything();
  std::uint64_t at = 0;
  for (bool failed = true; failed;) {
    SCOPED_TRACE(++at);
    start_anew();
    const auto before = everything();
    const auto faulty = std::make_shared<FaultyFileSystem>(posix_file_system(), path());
    Fault fault;
    fault.at = at;
    fault.forever = true;
    fault.code = ErrorCode::out_of_space;
    fault.only = [](const std::string& operation) {
      return operation.starts_with("write set-aside") ||
             operation.starts_with("create_new set-aside");
    };
    faulty->plan(fault);
    failed = false;
    try {
      repair(path(), {}, {.file_system = faulty});
    } catch (const Error& error) {
      failed = true;
      EXPECT_EQ(error.code(), ErrorCode::out_of_space);
      EXPECT_NE(std::string(error.what()).find("nothing was changed"), std::string::npos);
      EXPECT_EQ(everything(), before);
      EXPECT_FALSE(std::filesystem::exists(path() / "set-aside"));
    }
  }
  EXPECT_GT(at, 10u);
}

}  // namespace
}  // namespace ckp

// ckptool repair: what it says and how it exits. What it does is tested with the engine.
#include <algorithm>

#include "ckp/save.h"
#include "cli/fixture.h"

namespace ckp::test {
namespace fs = std::filesystem;
namespace {

class RepairCommandTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    saved_ = make_run(made, "cnn", 3);
  }
  fs::path pack_of(std::size_t i) const {
    for (const auto& entry : fs::recursive_directory_iterator(store() / "runs")) {
      const std::string name = entry.path().filename().string();
      if (contains(name, saved_[i].id.hex()) && name.ends_with(".ckp")) return entry.path();
    }
    return {};
  }
  std::vector<CheckpointRecord> saved_;
};

TEST_F(RepairCommandTest, WithNothingToDo) {
  for (const std::string flag : {"--json", "--dry-run", "--quiet"}) {
    const Result result = ckptool({"repair", "store", flag});
    EXPECT_EQ(result.code, 0) << result;
  }
  EXPECT_TRUE(contains(ckptool({"repair", "store"}).out, "nothing to repair"));
  EXPECT_FALSE(fs::exists(store() / "set-aside"));
}

TEST_F(RepairCommandTest, ThePlanThenTheSalvage) {
  const fs::path pack = pack_of(1);
  flip_byte(pack, 40'000);
  const std::string damaged = read_bytes(pack);
  const Result found = ckptool({"verify", "store"});
  EXPECT_EQ(found.code, 4) << found;
  EXPECT_TRUE(contains(found.out, "ckptool repair store --dry-run")) << found;

  const Result plan = ckptool({"repair", "store", "--dry-run"});
  EXPECT_EQ(plan.code, 4) << plan;
  for (const std::string& word :
       {pack.filename().string(), std::string("epoch 2, step 20 of run cnn"),
        std::string("would: salvage: "), std::string("missing: model/"),
        std::string("nothing was changed; next: ckptool repair store")}) {
    EXPECT_TRUE(contains(plan.out, word)) << word << plan;
  }
  EXPECT_EQ(read_bytes(pack), damaged);

  const Result done = ckptool({"repair", "store", "--json"});
  EXPECT_EQ(done.code, 3) << done;
  const nlohmann::json json = done.json();
  EXPECT_EQ(json["restores_all"], false);
  ASSERT_EQ(json["steps"].size(), 1u) << done;
  EXPECT_EQ(json["steps"][0]["action"], "salvage");
  const fs::path aside = root() / json["set_aside"].get<std::string>();
  EXPECT_EQ(read_bytes(aside / pack.lexically_relative(store())), damaged);
  EXPECT_TRUE(contains(read_bytes(aside / "repair.txt"), "salvage"));

  EXPECT_EQ(ckptool({"verify", "store", "--full"}).code, 0);
  const std::string id = json["steps"][0]["salvaged"];
  const Result shown = ckptool({"show", "store", "cnn@" + id});
  EXPECT_EQ(shown.code, 0) << shown;
  EXPECT_TRUE(contains(shown.out, saved_[1].id.hex())) << shown;
  EXPECT_TRUE(contains(shown.out, "missing")) << shown;
  EXPECT_TRUE(contains(ckptool({"ls", "store", "--all"}).out, "salvaged"));
  EXPECT_FALSE(contains(ckptool({"ls", "store"}).out, "salvaged"));
  EXPECT_EQ(ckptool({"show", "store", "cnn@latest", "--json"}).json()["checkpoint"]["epoch"], 3);
}

TEST_F(RepairCommandTest, WhatComesBackWholeExitsWithZero) {
  flip_byte(pack_of(2), fs::file_size(pack_of(2)) - 50);  // the trailer
  const Result done = ckptool({"repair", "store"});
  EXPECT_EQ(done.code, 0) << done;
  for (const std::string word :
       {"done: write it anew", "the originals (", "set-aside/", "next: ckptool verify store"}) {
    EXPECT_TRUE(contains(done.out, word)) << word << done;
  }
  EXPECT_EQ(ckptool({"verify", "store"}).code, 0);
  EXPECT_EQ(ckptool({"digest", "store", "cnn@3"}).code, 0);
}

// Damage is looked for when everything is in its place: by the next repair.
TEST_F(RepairCommandTest, OneThatPutsFilesBackAsksForTheNextOne) {
  {
    Store made = Store::open(store());
    make_run(made, "other", 1);
  }
  const fs::path pack = pack_of(1);
  flip_byte(pack, 40'000);
  for (const auto& entry : fs::directory_iterator(store() / "runs")) {
    if (entry.path() == pack.parent_path()) continue;
    fs::rename(pack, entry.path() / pack.filename());
    break;
  }
  const Result put_back = ckptool({"repair", "store"});
  EXPECT_TRUE(contains(put_back.out, "done: put it back")) << put_back;
  EXPECT_EQ(put_back.code, 3) << put_back;
  EXPECT_TRUE(put_back.out.ends_with("next: ckptool repair store\n")) << put_back;
  EXPECT_TRUE(fs::exists(pack));

  const Result mended = ckptool({"repair", "store"});
  EXPECT_TRUE(contains(mended.out, "done: salvage")) << mended;
  EXPECT_TRUE(mended.out.ends_with("next: ckptool verify store\n")) << mended;
  EXPECT_EQ(ckptool({"verify", "store"}).code, 0);
}

TEST_F(RepairCommandTest, OneThatMakesRunsAnewAsksForTheNextOne) {
  fs::remove_all(store() / "runs");
  const Result made = ckptool({"repair", "store", "--json"});
  EXPECT_EQ(made.code, 3) << made;
  EXPECT_EQ(made.json()["repair_again"], true) << made;
  const Result forgotten = ckptool({"repair", "store"});
  EXPECT_TRUE(forgotten.out.ends_with("next: ckptool verify store\n")) << forgotten;
  EXPECT_EQ(ckptool({"verify", "store"}).code, 0);
}

TEST_F(RepairCommandTest, ACommandToTypeNextLooksAsCloselyAsTheOneBefore) {
  flip_byte(pack_of(1), 40'000);
  EXPECT_TRUE(contains(ckptool({"verify", "store", "--full"}).out,
                       "next: ckptool repair store --dry-run --full\n"));
  EXPECT_TRUE(contains(ckptool({"repair", "store", "--dry-run", "--full", "--exclusive"}).out,
                       "next: ckptool repair store --full --exclusive\n"));
  EXPECT_TRUE(
      contains(ckptool({"repair", "store", "--full"}).out, "next: ckptool verify store --full\n"));
}

TEST_F(RepairCommandTest, WhereItCanDoNothingItIsNotTheNextCommand) {
  const fs::path pack = pack_of(1);
  fs::remove(pack);
  fs::create_directory(pack);
  const Result plan = ckptool({"repair", "store", "--dry-run"});
  EXPECT_EQ(plan.code, 4) << plan;
  EXPECT_TRUE(contains(plan.out, "move it away")) << plan;
  EXPECT_TRUE(contains(plan.out, "then: ckptool verify store\n")) << plan;
  EXPECT_FALSE(contains(plan.out, "next: ckptool repair")) << plan;
}

// The newest one is damaged: no rule may take the others, and nobody is told to delete it unseen.
TEST_F(RepairCommandTest, PruneNamesCommandsThatCanBePasted) {
  flip_byte(pack_of(2), 40'000);
  fs::rename(store(), root() / "my store");
  const Result refused = ckptool({"prune", "my store", "--keep-last", "1"});
  EXPECT_EQ(refused.code, 4) << refused;
  EXPECT_TRUE(contains(refused.err,
                       "ckptool repair 'my store'; or remove it: ckptool rm "
                       "'my store' cnn@"))
      << refused;
  EXPECT_EQ(ckptool({"repair", "my store"}).code, 3);
  EXPECT_EQ(ckptool({"prune", "my store", "--keep-last", "1"}).code, 0);
}

TEST_F(RepairCommandTest, AnUnreadablePackNoLongerBlocksPruning) {
  const fs::path pack = pack_of(1);
  write_bytes(pack, std::string(fs::file_size(pack), '\0'));
  const Result done = ckptool({"repair", "store"});
  EXPECT_EQ(done.code, 3) << done;
  EXPECT_TRUE(contains(done.out, "nothing in it can be used")) << done;
  EXPECT_TRUE(contains(done.out, "done: set it aside")) << done;
  EXPECT_EQ(ckptool({"verify", "store"}).code, 0);
  EXPECT_EQ(ckptool({"prune", "store", "--keep-last", "1"}).code, 0);
}

TEST_F(RepairCommandTest, AStoreWithoutItsFileStoreIsRepairedWhenItIsNamed) {
  fs::remove(store() / "STORE");
  for (const std::string command : {"verify", "ls", "runs"}) {
    const Result refused = ckptool({command, "store"});
    EXPECT_EQ(refused.code, 10) << refused;
    EXPECT_TRUE(contains(refused.err, "STORE is missing")) << refused;
    EXPECT_TRUE(contains(refused.err, "ckptool repair store")) << refused;
  }
  const Result made = ckptool({"init", "store"});
  EXPECT_NE(made.code, 0) << made;
  EXPECT_TRUE(contains(made.err, "ckptool repair store")) << made;
  EXPECT_EQ(ckptool({"repair", "store", "--dry-run"}).code, 4);
  const Result done = ckptool({"repair", "store"});
  EXPECT_EQ(done.code, 0) << done;
  EXPECT_EQ(ckptool({"verify", "store"}).code, 0);
  EXPECT_EQ(ckptool({"repair", "elsewhere"}).code, 10);
}

TEST_F(RepairCommandTest, ANewerFileStopsIt) {
  flip_byte(pack_of(1), 40'000);
  fs::copy(fs::path(CKP_SOURCE_DIR) / "tests/golden/v1/newer-version.ckp", pack_of(2),
           fs::copy_options::overwrite_existing);
  expect_error({"repair", "store"}, 12, "newer_format", {"version"});
}

TEST_F(RepairCommandTest, TheLatestIsTheNewestThatIsUndamaged) {
  flip_byte(pack_of(2), 40'000);  // the weights of epoch 3
  const Result converted = ckptool({"convert", "store", "cnn@latest", "out.safetensors"});
  EXPECT_EQ(converted.code, 0) << converted;
  EXPECT_TRUE(contains(converted.err, "passed over cnn@")) << converted;
  EXPECT_TRUE(contains(converted.err, "epoch 3, step 30: ")) << converted;
  EXPECT_TRUE(contains(converted.err, "checksum")) << converted;
  const Result digest = ckptool({"digest", "store", "cnn@2", "--json"});
  EXPECT_EQ(ckptool({"digest", "store", "cnn@latest", "--json"}).json()["total"],
            digest.json()["total"]);

  flip_byte(pack_of(2), 20);  // and its header
  const Result shown = ckptool({"show", "store", "cnn", "--json"});
  EXPECT_EQ(shown.json()["checkpoint"]["epoch"], 2) << shown;
  EXPECT_TRUE(contains(shown.err, "passed over cnn@")) << shown;
  expect_error({"show", "store", "cnn@3"}, 4, "corrupt", {"header"});
}

}  // namespace
}  // namespace ckp::test

// stats: what it prints is what the engine counts.
#include "ckp/stats.h"

#include "cli/fixture.h"

namespace ckp::test {
namespace {

class StatsCommandTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    saved_ = make_run(made, "cnn", 3);
    make_run(made, "wide", 1);
  }
  std::filesystem::path pack_of(const CheckpointRecord& checkpoint) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(store() / "runs")) {
      if (contains(entry.path().filename().string(), checkpoint.id.hex())) return entry.path();
    }
    return {};
  }
  std::vector<CheckpointRecord> saved_;
};

TEST_F(StatsCommandTest, TellsEachRunAndTheStore) {
  const nlohmann::json json = ckptool({"stats", "store", "--json"}).json();
  const StoreStats stats = Store::open(store()).stats();
  ASSERT_EQ(json["runs"].size(), 2u);
  EXPECT_EQ(json["needed"]["checkpoints"], 4);
  EXPECT_EQ(json["needed"]["raw"], 4 * saved_[0].tensor_bytes);
  EXPECT_EQ(json["needed"]["shared"], stats.needed.shared);
  EXPECT_EQ(json["needed"]["raw"].get<std::uint64_t>() -
                json["needed"]["shared"].get<std::uint64_t>() +
                json["needed"]["filler"].get<std::uint64_t>() +
                json["needed"]["patches"].get<std::uint64_t>() -
                json["needed"]["compressed"].get<std::uint64_t>(),
            json["needed"]["stored"].get<std::uint64_t>());
  EXPECT_EQ(json["disk"]["payload"], json["needed"]["stored"]);
  EXPECT_EQ(json["total"], bytes_below(store()));
  EXPECT_EQ(json["unread"].size(), 0u);

  const Result text = ckptool({"stats", "store"});
  EXPECT_EQ(text.code, 0) << text;
  EXPECT_EQ(text.err, "");
  EXPECT_TRUE(contains(text.out, "RUN ")) << text;
  EXPECT_TRUE(contains(text.out, "\ncnn ")) << text;
  EXPECT_TRUE(contains(text.out, "\nwide ")) << text;
  EXPECT_TRUE(contains(text.out, "4 checkpoints need ")) << text;
  EXPECT_TRUE(contains(text.out, "garbage, freed by prune")) << text;
  EXPECT_FALSE(contains(text.out, "unreadable")) << text;
}

TEST_F(StatsCommandTest, WhatCannotBeReadIsNamedOnStandardError) {
  const auto file = pack_of(saved_[1]);
  std::filesystem::resize_file(file, 200);
  const Result text = ckptool({"stats", "store"});
  EXPECT_EQ(text.code, 4) << text;
  EXPECT_TRUE(contains(text.err, "run cnn: not counted: ")) << text;
  EXPECT_TRUE(contains(text.err, file.filename().string())) << text;
  EXPECT_TRUE(contains(text.out, "3 checkpoints need ")) << text;
  EXPECT_TRUE(contains(text.out, "unreadable")) << text;
  const Result json = ckptool({"stats", "store", "--json"});
  EXPECT_EQ(json.code, 4) << json;
  EXPECT_EQ(json.json()["unread"][0]["run"], "cnn") << json;
  EXPECT_EQ(json.json()["unread"][0]["code"], "corrupt") << json;
}

TEST_F(StatsCommandTest, TakesAStoreAndNothingElse) {
  expect_error({"stats", "store", "cnn"}, 2, "usage", {"cnn"});
  expect_error({"stats", "nowhere"}, 10, "no_store", {"nowhere"});
}

}  // namespace
}  // namespace ckp::test

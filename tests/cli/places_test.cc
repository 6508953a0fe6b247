// A store behind a real FUSE mount: works, with its index elsewhere (P18).
#include <algorithm>

#include "cli/fixture.h"
#include "cli/mounts.h"
#include "support/figure.h"

namespace ckp::test {
namespace fs = std::filesystem;
namespace {

class PlacesCommandTest : public CliTest {
 protected:
  Surroundings around() const {
    Surroundings around;
    around.variables["CKPSTORE_CACHE"] = (root() / "cache").string();
    return around;
  }
  Result tool(const std::vector<std::string>& arguments) const {
    return ckptool(arguments, around());
  }
};

TEST_F(PlacesCommandTest, AStoreOnFuseKeepsItsIndexInTheCache) {
  const FuseMount mount(root() / "real", root() / "mount");
  if (!mount.problem().empty()) GTEST_SKIP() << mount.problem();
  const std::string place = (root() / "mount" / "store").string();

  const Result made = tool({"init", place});
  EXPECT_EQ(made.code, 0) << made;
  EXPECT_NE(made.err.find("fuse"), std::string::npos) << made;
  EXPECT_NE(made.err.find((root() / "cache").string()), std::string::npos) << made;
  EXPECT_EQ(std::count(made.err.begin(), made.err.end(), '\n'), 1) << made;
  for (int epoch = 1; epoch <= 3; ++epoch) {
    const fs::path file = root() / ("epoch" + std::to_string(epoch) + ".ckp");
    make_file(file, epoch);
    const Result taken =
        tool({"import", place, file.string(), "--run", "run" + std::to_string(epoch)});
    EXPECT_EQ(taken.code, 0) << taken;
    EXPECT_EQ(taken.err, "") << "said once" << taken;
  }
  {
    StoreOptions options;
    options.index_directory = root() / "cache";
    Store store = Store::open(place, options);
    make_run(store, "cnn", 4);
  }
  EXPECT_EQ(tool({"runs", place, "--json"}).json()["runs"].size(), 4u);
  EXPECT_EQ(tool({"ls", place, "cnn", "--json"}).json()["checkpoints"].size(), 4u);
  EXPECT_FALSE(fs::exists(root() / "real" / "store" / "index"));

  const Result refused = tool({"prune", place, "cnn", "--keep-last", "1"});
  EXPECT_EQ(refused.code, 1) << refused;
  for (const char* word : {"fuse", "--exclusive", "nothing was deleted"}) {
    EXPECT_NE(refused.err.find(word), std::string::npos) << word << refused;
  }
  EXPECT_EQ(tool({"rm", place, "--run", "run1", "--yes"}).code, 1);
  EXPECT_EQ(tool({"prune", place, "cnn", "--keep-last", "1", "--dry-run"}).code, 0);
  const Result pruned = tool({"prune", place, "cnn", "--keep-last", "1", "--exclusive", "--json"});
  EXPECT_EQ(pruned.code, 0) << pruned;
  EXPECT_GT(pruned.json()["bytes_freed"].get<std::uint64_t>(), 0u) << pruned;
  EXPECT_EQ(tool({"rm", place, "--run", "run1", "--yes", "--exclusive"}).code, 0);
  const Result checked = tool({"verify", place, "--full"});
  EXPECT_EQ(checked.code, 0) << checked;
  EXPECT_EQ(tool({"rebuild-index", place}).code, 0);

  // The same store without the mount: an index of its own.
  const Result direct = tool({"ls", (root() / "real" / "store").string(), "cnn", "--json"});
  EXPECT_EQ(direct.json()["checkpoints"].size(), 1u) << direct;
  EXPECT_TRUE(fs::exists(root() / "real" / "store" / "index"));
  figure("P18 real mount",
         "bindfs (FUSE): 4 runs saved, pruned, verified in full; index in the "
         "cache, prune and rm refused without --exclusive");
}

TEST_F(PlacesCommandTest, WithoutALocalCacheTheFilesAnswer) {
  const FuseMount mount(root() / "real", root() / "mount");
  if (!mount.problem().empty()) GTEST_SKIP() << mount.problem();
  const std::string place = (root() / "mount" / "store").string();
  Surroundings remote;
  remote.variables["CKPSTORE_CACHE"] = (root() / "mount" / "cache").string();
  EXPECT_EQ(ckptool({"init", place}, remote).code, 0);
  make_file(root() / "one.ckp", 1);
  EXPECT_EQ(ckptool({"import", place, (root() / "one.ckp").string(), "--run", "one"}, remote).code,
            0);
  const Result listed = ckptool({"ls", place, "one", "--json"}, remote);
  EXPECT_EQ(listed.json()["checkpoints"].size(), 1u) << listed;
  EXPECT_NE(listed.err.find("$CKPSTORE_CACHE"), std::string::npos) << listed;
  EXPECT_FALSE(fs::exists(root() / "mount" / "cache"));
  EXPECT_EQ(ckptool({"verify", place}, remote).code, 0);
}

}  // namespace
}  // namespace ckp::test

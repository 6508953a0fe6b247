// Full disks and read-only places: a clear error, and nothing is lost.
#include <set>
#include <sstream>

#include "cli/fixture.h"
#include "cli/mounts.h"

namespace ckp::test {
namespace fs = std::filesystem;
namespace {

constexpr const char* no_mount = "needs the right to mount a tmpfs (root outside a container)";

using TroubleTest = CliTest;

TEST_F(TroubleTest, FullDiskFailsTheImportAndKeepsTheStore) {
  TemporaryMount mount(root() / "disk", "64m");
  if (!mount.ready()) GTEST_SKIP() << no_mount;
  const std::string full = (root() / "disk" / "store").string();
  {
    Store made = Store::create(full);
    make_run(made, "cnn", 4);
  }
  make_file(root() / "more.ckp", 9);
  mount.fill();
  expect_error({"import", full, (root() / "more.ckp").string(), "--run", "more"}, 1, "out_of_space",
               {full});
  fs::remove(root() / "disk" / "filler");
  const Result checked = ckptool({"verify", full, "--full"});
  EXPECT_EQ(checked.code, 0) << checked;
  EXPECT_EQ(ckptool({"ls", full, "cnn", "--json"}).json()["checkpoints"].size(), 4u);
  const Result again = ckptool({"import", full, (root() / "more.ckp").string(), "--run", "more"});
  EXPECT_EQ(again.code, 0) << again;
}

TEST_F(TroubleTest, FullDiskCanBeRelievedByPrune) {
  TemporaryMount mount(root() / "disk", "64m");
  if (!mount.ready()) GTEST_SKIP() << no_mount;
  const std::string full = (root() / "disk" / "store").string();
  {
    Store made = Store::create(full);
    make_run(made, "cnn", 4);
  }
  mount.fill();
  const Result pruned = ckptool({"prune", full, "--keep-last", "1", "--json"});
  EXPECT_EQ(pruned.code, 0) << pruned;
  EXPECT_GT(pruned.json()["bytes_freed"].get<std::uint64_t>(), 0u);
  EXPECT_EQ(ckptool({"verify", full, "--full"}).code, 0);
  EXPECT_EQ(ckptool({"ls", full, "--json"}).json()["checkpoints"].size(), 1u);
}

TEST_F(TroubleTest, FullDiskLeavesNoHalfConvertedFile) {
  TemporaryMount mount(root() / "disk", "64k");
  if (!mount.ready()) GTEST_SKIP() << no_mount;
  make_file(root() / "one.ckp", 1);
  const std::string out = (root() / "disk" / "out.safetensors").string();
  expect_error({"convert", "one.ckp", out}, 1, "out_of_space", {"out.safetensors"});
  EXPECT_TRUE(fs::is_empty(root() / "disk"));
}

TEST_F(TroubleTest, ReadOnlyPlaceCanBeReadButNotChanged) {
  TemporaryMount mount(root() / "disk", "64m");
  if (!mount.ready()) GTEST_SKIP() << no_mount;
  const std::string frozen = (root() / "disk" / "store").string();
  {
    Store made = Store::create(frozen);
    make_run(made, "cnn", 2);
  }
  make_file(root() / "more.ckp", 9);
  if (!mount.make_read_only()) GTEST_SKIP() << "cannot remount a tmpfs read-only";
  expect_error({"init", (root() / "disk" / "other").string()}, 1, "read_only", {"other"});
  expect_error({"import", frozen, (root() / "more.ckp").string()}, 1, "read_only", {frozen});
  expect_error({"prune", frozen, "--keep-last", "1"}, 1, "read_only", {frozen});
  const Result listed = ckptool({"ls", frozen, "--json"});
  EXPECT_EQ(listed.code, 0) << listed;
  const Result checked = ckptool({"verify", frozen, "--full"});
  EXPECT_EQ(checked.code, 0) << checked;
  std::istringstream lines(checked.out + checked.err);
  std::set<std::string> once;
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(line.empty() || once.insert(line).second) << line << checked;
  }
  const Result out = ckptool({"convert", frozen, "cnn@2", (root() / "out.safetensors").string()});
  EXPECT_EQ(out.code, 0) << out;
}

// The files of the run that make_run has made.
class DamagedRunTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    make_run(made, "cnn", 2);
  }
  fs::path journal() const {
    for (const auto& entry : fs::recursive_directory_iterator(store() / "runs")) {
      if (contains(entry.path().filename().string(), "journal-")) return entry.path();
    }
    return {};
  }
};

TEST_F(DamagedRunTest, AMissingJournalIsNamedWithWhatIsKnownWithoutIt) {
  fs::remove(journal());
  for (const bool indexed : {true, false}) {
    if (!indexed) ckptool({"rebuild-index", "store"});
    for (const std::string command : {"metrics", "show", "tail", "ls", "export"}) {
      const Result result = ckptool({command, "store", "cnn"});
      EXPECT_EQ(result.code, 0) << result;
      for (const std::string word :
           {"the journal is missing", "attempt 1", "its checkpoints and their own metrics are not",
            "ckptool verify"}) {
        EXPECT_TRUE(contains(result.err, word)) << command << result;
      }
    }
  }
  EXPECT_EQ(ckptool({"repair", "store"}).code, 3);
  EXPECT_EQ(ckptool({"metrics", "store", "cnn"}).err, "") << "repair knows that it is lost";
}

TEST_F(DamagedRunTest, ADamagedJournalComesWithTheNextCommand) {
  flip_byte(journal(), 50);
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"export", "store", "cnn"},
        {"show", "store", "cnn", "--source-diff"}}) {
    const Result result = ckptool(command);
    EXPECT_EQ(result.code, 4) << result;
    for (const std::string word : {"journal-", "ckptool verify", "ckptool repair"}) {
      EXPECT_TRUE(contains(result.err, word)) << result;
    }
  }
}

TEST_F(DamagedRunTest, OneFileIsNoFiles) {
  write_bytes(journal().parent_path() / "0000000009-0123456789abcdef0123456789abcdef.tmp", "dead");
  const Result result = ckptool({"verify", "store"});
  EXPECT_TRUE(contains(result.out,
                       "1 file (4 bytes) left by saves that died; the next prune "
                       "removes it"))
      << result;
}

TEST_F(DamagedRunTest, AReportIntoAFolderThatIsNotThere) {
  expect_error({"report", "store", "-o", "nodir/x.html"}, 1, "not_found",
               {"nodir/x.html: the folder nodir does not exist", "mkdir -p nodir"});
}

// With every limit from too few to enough: what could not be opened is not damaged.
TEST_F(TroubleTest, TooFewOpenFilesAreNoDamage) {
  {
    Store made = Store::create(store());
    make_run(made, "cnn", 4);
  }
  int refused = 0;
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"verify", "store"}, {"repair", "store", "--dry-run"}}) {
    int code = -1;
    for (unsigned limit = 4; code != 0 && limit < 64; ++limit) {
      const Result result = ckptool(command, {.open_files = limit});
      code = result.code;
      if (code == 127) continue;  // the program's own libraries
      ASSERT_TRUE(code == 0 || code == 1) << limit << result;
      if (code == 0) continue;
      ++refused;
      EXPECT_TRUE(contains(result.err, "ulimit -n")) << limit << result;
      EXPECT_FALSE(contains(result.out, "damage:")) << limit << result;
    }
    EXPECT_EQ(code, 0) << command[0];
  }
  EXPECT_GT(refused, 2);
}

}  // namespace
}  // namespace ckp::test

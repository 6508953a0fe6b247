// Stores on file systems that others serve (P18): kinds are injected.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "io/file_system_kind.h"
#include "store/layout.h"
#include "store_fixture.h"
#include "support/figure.h"
#include "support/forwarding_file_system.h"
#include "support/variable.h"

namespace ckp {
namespace {

using test::expect_error;
using test::SmallState;
using test::StoreTest;
using test::Variable;

namespace stdfs = std::filesystem;

// Some directories are of another kind.
class PlacedFileSystem final : public test::ForwardingFileSystem {
 public:
  std::map<stdfs::path, FileSystemKind> kinds;
  // A rename that was done, and whose answer got lost.
  bool lose_answer = false;

  FileSystemKind kind(const stdfs::path& path) override {
    for (stdfs::path at = path; at.has_relative_path(); at = at.parent_path()) {
      const auto found = kinds.find(at);
      if (found != kinds.end()) return found->second;
    }
    return {"ext4", false};
  }
  void rename(const stdfs::path& from, const stdfs::path& to, bool replace) override {
    base_->rename(from, to, replace);
    if (!lose_answer || to.extension() != ".ckp") return;
    lose_answer = false;
    throw Error(ErrorCode::not_found, "cannot rename " + from.string() + ": no such file");
  }
};

class PlacesTest : public StoreTest {
 protected:
  PlacesTest() {
    stdfs::create_directory(mount());
    fs_->kinds[mount()] = {"nfs", true};
  }
  stdfs::path mount() const { return directory_ / "mount"; }
  stdfs::path place() const { return mount() / "store"; }
  stdfs::path cache() const { return directory_ / "cache"; }
  // As a host has it: its own cache.
  StoreOptions options(const stdfs::path& index = {}) const {
    StoreOptions options;
    options.file_system = fs_;
    options.index_directory = index;
    return options;
  }
  static std::vector<stdfs::path> below(const stdfs::path& directory) {
    std::vector<stdfs::path> found;
    if (!stdfs::exists(directory)) return found;
    for (const auto& entry : stdfs::directory_iterator(directory)) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
  }
  static KeepPolicy keep_last(std::uint32_t count) {
    KeepPolicy policy;
    policy.last = count;
    return policy;
  }
  static void expect_epochs(const Store& store, const std::vector<std::int64_t>& expected) {
    EXPECT_EQ(epochs(store.checkpoints(store.run("cnn").id)), expected);
    EXPECT_EQ(store.find(parse_address("cnn")).epoch, expected.back());
  }
  static void expect_sound(const Store& store) {
    const VerifyReport report = store.verify({.level = VerifyLevel::full});
    for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
    for (const std::string& note : report.notes) ADD_FAILURE() << note;
  }

  const std::shared_ptr<PlacedFileSystem> fs_ = std::make_shared<PlacedFileSystem>();
  // Nothing outside the test's directory.
  const Variable cache_{"CKPSTORE_CACHE", cache()}, xdg_{"XDG_CACHE_HOME", std::nullopt};
};

// statfs(2), f_type, of every kind that others serve.
constexpr std::uint64_t remote_numbers[] = {
    0x6969,     0xFF534D42, 0xFE534D42, 0x517B,     0x0BD00BD0, 0x65735546,
    0x01021997, 0x00C36400, 0x47504653, 0x5346414F, 0x6B414653, 0x73757245,
    0x01161970, 0x7461636F, 0xAAD7AAEA, 0x19830326, 0x786F4256, 0xBACBACBC};

TEST_F(PlacesTest, TheIndexGoesToTheCacheOnEveryRemoteKind) {
  std::size_t kinds = 0;
  std::set<std::string> names;
  for (const std::uint64_t number : remote_numbers) {
    const FileSystemKind kind = kind_of_number(number);
    ASSERT_TRUE(kind.remote) << kind.name;
    SCOPED_TRACE(kind.name);
    fs_->kinds[mount()] = kind;
    stdfs::remove_all(place());
    stdfs::remove_all(cache());
    {
      Store store = Store::create(place(), options());
      ASSERT_EQ(store.notes().size(), 1u);
      EXPECT_NE(store.notes()[0].find(kind.name), std::string::npos) << store.notes()[0];
      EXPECT_NE(store.notes()[0].find(cache().string()), std::string::npos) << store.notes()[0];
      ckp::Run run = store.create_run(run_options("cnn"));
      save(run, 1);
      save(run, 2);
      expect_epochs(store, {1, 2});
      expect_error(ErrorCode::unsupported, "--exclusive", [&] { store.prune(keep_last(1)); });
      EXPECT_EQ(store.plan_prune(keep_last(1)).entries.size(), 2u);
      EXPECT_GT(store.prune(keep_last(1), {}, {.exclusive = true}).bytes_freed, 0u);
    }
    Store store = Store::open(place(), options());
    EXPECT_TRUE(store.notes().empty());  // said once
    expect_epochs(store, {2});
    expect_sound(store);
    EXPECT_FALSE(stdfs::exists(place() / "index"));
    ASSERT_EQ(below(cache()).size(), 1u);
    EXPECT_TRUE(stdfs::exists(below(cache())[0] / "index" / "data.mdb"));
    EXPECT_EQ(below(cache())[0].filename().string().rfind(store.uuid().hex() + "-", 0), 0u);
    names.insert(kind.name);
    ++kinds;
  }
  test::figure("P18 remote kinds", std::to_string(kinds) + " numbers, " +
                                       std::to_string(names.size()) +
                                       " kinds: index in the cache, prune refused");
}

TEST_F(PlacesTest, DeletingIsRefusedAsAWhole) {
  Store store = Store::create(place(), options());
  {
    ckp::Run run = store.create_run(run_options("cnn"));
    save(run, 1);
    save(run, 2);
  }
  const auto first = store.find(parse_address("cnn@1"));
  for (const auto& action : std::vector<std::function<void()>>{
           [&] { store.prune(keep_last(1)); },
           [&] { store.remove_checkpoints(std::span(&first.id, 1)); },
           [&] { store.remove_run("cnn"); }}) {
    expect_error(ErrorCode::unsupported, "nothing was deleted", action);
  }
  expect_epochs(store, {1, 2});  // nothing was retired either
  EXPECT_GT(store.remove_checkpoints(std::span(&first.id, 1), {.exclusive = true}), 0u);
  EXPECT_GT(store.remove_run("cnn", {.exclusive = true}), 0u);
  EXPECT_TRUE(store.runs().empty());
}

TEST_F(PlacesTest, ACopyHasAnIndexOfItsOwn) {
  {
    Store store = Store::create(place(), options());
    ckp::Run run = store.create_run(run_options("cnn"));
    save(run, 1);
    expect_epochs(store, {1});
  }
  stdfs::copy(place(), mount() / "copy", stdfs::copy_options::recursive);
  Store copy = Store::open(mount() / "copy", options());
  {
    ckp::Run run = copy.resume_run("cnn");
    save(run, 2);
  }
  expect_epochs(copy, {1, 2});
  expect_epochs(Store::open(place(), options()), {1});
  EXPECT_EQ(below(cache()).size(), 2u);
}

TEST_F(PlacesTest, TheCacheIsLookedForInOrder) {
  const Variable none("CKPSTORE_CACHE", std::nullopt);
  const Variable home("HOME", directory_ / "home");
  const Variable temporary("TMPDIR", directory_ / "tmp");
  stdfs::create_directory(directory_ / "home");
  stdfs::create_directory(directory_ / "tmp");
  { const Store store = Store::create(place(), options()); }
  EXPECT_EQ(below(directory_ / "home" / ".cache" / "ckpstore").size(), 1u);
  {
    const Variable xdg("XDG_CACHE_HOME", directory_ / "xdg");
    const Store store = Store::open(place(), options());
    EXPECT_EQ(below(directory_ / "xdg" / "ckpstore").size(), 1u);
  }
  // Where the home directory is on a server, too, as on most clusters.
  fs_->kinds[directory_ / "home"] = {"lustre", true};
  EXPECT_TRUE(below(directory_ / "tmp").empty());
  const Store store = Store::open(place(), options());
  ASSERT_EQ(below(directory_ / "tmp").size(), 1u);
  ASSERT_EQ(store.notes().size(), 1u);
  EXPECT_NE(store.notes()[0].find((directory_ / "tmp").string()), std::string::npos);
}

// In a directory for all, somebody else could lay an index ready.
TEST_F(PlacesTest, AStrangersCacheIsNotUsed) {
  stdfs::create_directory(cache());
  stdfs::permissions(cache(), stdfs::perms::all);
  const Store store = Store::create(place(), options());
  ASSERT_EQ(store.notes().size(), 1u);
  EXPECT_NE(store.notes()[0].find("others may write"), std::string::npos) << store.notes()[0];
}

TEST_F(PlacesTest, WithoutALocalFolderTheFilesAnswer) {
  const auto use = [&] {
    stdfs::remove_all(place());
    Store store = Store::create(place(), options());
    ASSERT_EQ(store.notes().size(), 1u);
    EXPECT_NE(store.notes()[0].find("$CKPSTORE_CACHE"), std::string::npos) << store.notes()[0];
    {
      ckp::Run run = store.create_run(run_options("cnn"));
      save(run, 1);
      save(run, 2);
      expect_epochs(store, {1, 2});
    }
    {
      ckp::Run run = store.resume_run("cnn");
      const std::uint64_t commit = save(run, 3).commit;
      EXPECT_EQ(store.find(parse_address("cnn")).commit, commit);
    }
    expect_epochs(store, {1, 2, 3});
    store.prune(keep_last(1), {}, {.exclusive = true});
    expect_epochs(store, {3});
    expect_sound(store);
    expect_error(ErrorCode::unsupported, "$CKPSTORE_CACHE", [&] { store.rebuild_index(); });
    EXPECT_FALSE(stdfs::exists(place() / "index"));
  };
  fs_->kinds[cache()] = {"nfs", true};
  stdfs::create_directory(cache());
  use();
  EXPECT_TRUE(below(cache()).empty());
  stdfs::remove(cache());
  fs_->kinds.erase(cache());
  std::ofstream(cache()) << "a file where the folder should be";
  use();
}

TEST_F(PlacesTest, AnIndexAskedForOnARemotePlaceIsRefused) {
  expect_error(ErrorCode::unsupported, "choose a local directory",
               [&] { Store::create(place(), options(mount() / "index")); });
  // A local one is fine, also for a local store.
  Store store = Store::create(path(), options(directory_ / "fast"));
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  expect_epochs(store, {1});
  EXPECT_TRUE(store.notes().empty());
  EXPECT_FALSE(stdfs::exists(path() / "index"));
  EXPECT_EQ(below(directory_ / "fast").size(), 1u);
  save(run, 2);
  EXPECT_GT(store.prune(keep_last(1)).bytes_freed, 0u);
  expect_sound(store);
}

// Each with an index of its own, which knows nothing of the other's commits by itself.
TEST_F(PlacesTest, SeveralHostsSeeEachOthersCommits) {
  Store a = Store::create(place(), options(directory_ / "a"));
  Store b = Store::open(place(), options(directory_ / "b"));
  ckp::Run run = a.create_run(run_options("cnn"));
  ckp::Run other = b.create_run(run_options("other"));
  std::set<std::uint64_t> commits;
  std::uint64_t last = 0;
  std::vector<std::int64_t> expected;
  for (int epoch = 1; epoch <= 6; ++epoch) {
    for (ckp::Run* const each : {&run, &other}) {
      const std::uint64_t commit = save(*each, epoch).commit;
      EXPECT_GT(commit, last);
      last = commit;
      commits.insert(commit);
    }
    expected.push_back(epoch);
    if (epoch % 2 == 0) {
      expect_epochs(a, expected);
      EXPECT_EQ(a.find(parse_address("other")).epoch, epoch);
    }
    if (epoch % 3 == 0) expect_epochs(b, expected);
  }
  EXPECT_EQ(commits.size(), 12u);
  EXPECT_GT(b.prune(keep_last(1), std::vector<std::string>{"cnn"}, {.exclusive = true}).bytes_freed,
            0u);
  expect_epochs(a, {6});
  expect_epochs(b, {6});
  expect_epochs(Store::open(place(), options(directory_ / "c")), {6});
  expect_sound(a);
  expect_sound(b);
  // The lock file is not synced: a server that crashes may bring back an older one.
  stdfs::remove(place() / "lock");
  EXPECT_GT(save(run, 7).commit, last);
  expect_epochs(b, {6, 7});
  expect_epochs(a, {6, 7});
}

// One process sees the store's directory as it is, another through a mount: both in one boot.
TEST_F(PlacesTest, TheIndexInTheStoreHearsOfThoseWithAnIndexElsewhere) {
  StoreOptions local;
  Store inside = Store::create(place(), local);
  Store outside = Store::open(place(), options());
  ckp::Run run = inside.create_run(run_options("cnn"));
  save(run, 1);
  expect_epochs(inside, {1});
  expect_epochs(outside, {1});
  ckp::Run other = outside.create_run(run_options("other"));
  EXPECT_EQ(inside.runs().size(), 2u);
  save(other, 1);
  EXPECT_EQ(epochs(inside.checkpoints(inside.run("other").id)), (std::vector<std::int64_t>{1}));
  save(run, 2);
  expect_epochs(outside, {1, 2});
  inside.prune(keep_last(1), std::vector<std::string>{"cnn"});
  expect_epochs(outside, {2});
  save(other, 2);
  save(run, 3);
  save(other, 3);
  expect_epochs(inside, {2, 3});
  EXPECT_EQ(inside.find(parse_address("other")).epoch, 3);
  expect_epochs(outside, {2, 3});
  expect_sound(inside);
  expect_sound(outside);
}

TEST_F(PlacesTest, ADamagedOrDeletedCacheIsMadeAnew) {
  Store store = Store::create(place(), options());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  save(run, 2);
  expect_epochs(store, {1, 2});
  const auto folder = below(cache()).at(0);
  for (const char* part : {"index", "lock", ""}) {
    stdfs::remove_all(folder / part);
    expect_epochs(Store::open(place(), options()), {1, 2});
  }
  stdfs::resize_file(folder / "index" / "data.mdb", 100);
  expect_epochs(Store::open(place(), options()), {1, 2});
  EXPECT_EQ(store.rebuild_index().checkpoints, 2u);
  EXPECT_FALSE(stdfs::exists(place() / "index"));
  save(run, 3);
  expect_epochs(store, {1, 2, 3});
}

// H15: the request was repeated, and the second answer is that there is no such file.
TEST_F(PlacesTest, ARenameWhoseAnswerGotLostIsACommit) {
  Store store = Store::create(place(), options());
  ckp::Run run = store.create_run(run_options("cnn"));
  fs_->lose_answer = true;
  save(run, 1);
  EXPECT_FALSE(fs_->lose_answer);
  expect_epochs(store, {1});
  expect_sound(store);
}

}  // namespace
}  // namespace ckp

// Names that look like something else: runs named like ids, files of others, stores half made.
#include <fstream>
#include <functional>

#include "ckp/format/store_identity.h"
#include "ckp/query.h"
#include "ckp/save.h"
#include "sample_states.h"
#include "store_fixture.h"

namespace ckp {
namespace {

using test::expect_error;
using test::read_bytes;
using test::SmallState;
using test::StoreTest;
using test::write_bytes;

class NamesTest : public StoreTest {
 protected:
  static KeepPolicy keep_last(std::uint32_t count) {
    KeepPolicy policy;
    policy.last = count;
    return policy;
  }
  static std::string save_run(Store& store, const std::string& name, int count) {
    ckp::Run run = store.create_run(run_options(name));
    for (int epoch = 1; epoch <= count; ++epoch) save(run, epoch);
    return run.record().id.hex();
  }
  static std::size_t count(const Store& store, const std::string& name) {
    return store.checkpoints(store.run(name).id).size();
  }
  static void put(const std::filesystem::path& file) { std::ofstream(file) << "mine"; }
};

TEST_F(NamesTest, ARunMayBeNamedLikeTheBeginningOfAnotherRunsId) {
  Store store = Store::create(path());
  const std::string id = save_run(store, "a", 2);
  const std::string created = id.substr(0, 4), imported = id.substr(0, 5);
  EXPECT_EQ(store.free_run_name(created), created);
  save_run(store, created, 2);
  EXPECT_EQ(store.free_run_name(created), created + "-2");

  save_file(directory_ / "m.ckp", SmallState(5).dict());
  EXPECT_EQ(store.import_file(directory_ / "m.ckp", {.run = imported}).run_name, imported);
  EXPECT_EQ(count(store, "a"), 2u);

  store.prune(keep_last(1), std::vector{created});
  EXPECT_EQ(count(store, created), 1u);
  EXPECT_EQ(count(store, "a"), 2u);
  store.remove_run(created);
  EXPECT_EQ(count(store, "a"), 2u);
  EXPECT_EQ(store.runs().size(), 2u);
}

TEST_F(NamesTest, AnInterruptedInitIsCompleted) {
  std::filesystem::create_directories(path() / "runs");
  std::ofstream(path() / "lock").flush();
  std::ofstream(path() / ".STORE.1a2b3c4d.tmp").flush();
  Store store = Store::create(path());
  save_run(store, "a", 1);
  EXPECT_EQ(count(store, "a"), 1u);
}

TEST_F(NamesTest, AStoreWithAnUnknownReadOnlyFeatureIsReadAndNotChanged) {
  {
    Store store = Store::create(path());
    save_run(store, "a", 2);
  }
  auto identity = format::decode_store_identity(read_bytes(path() / "STORE"));
  identity.features.read_only = std::uint64_t{1} << 40;
  const auto encoded = format::encode_store_identity(identity);
  write_bytes(path() / "STORE", std::vector<std::byte>(encoded.begin(), encoded.end()));

  Store store = Store::open(path());
  const CheckpointRecord newest = store.find(parse_address("a"));
  EXPECT_TRUE(SmallState(2).is_in(store.open_checkpoint(newest)));
  save_file(directory_ / "m.ckp", SmallState(5).dict());
  const std::function<void()> changes[] = {
      [&] { store.create_run(run_options("b")); },
      [&] { store.resume_run("a"); },
      [&] { store.prune(keep_last(1)); },
      [&] { store.remove_run("a"); },
      [&] { store.remove_checkpoints(std::span(&newest.id, 1)); },
      [&] { store.import_file(directory_ / "m.ckp", {}); }};
  for (const auto& change : changes) expect_error(ErrorCode::newer_format, "newer", change);
  EXPECT_EQ(store.runs().size(), 1u);
  EXPECT_EQ(count(store, "a"), 2u);
}

TEST_F(NamesTest, PruneAndRebuildLeaveForeignFilesAlone) {
  Store store = Store::create(path());
  save_run(store, "a", 2);
  const auto root = path();
  for (const auto& directory : {root / "index.backup", root / "runs" / "thesis.new",
                                root / "runs" / "thesis.dead", root / "runs" / "old"}) {
    std::filesystem::create_directory(directory);
    put(directory / "notes.txt");
  }
  for (const char* file : {"index.html", "runs/todo.new", "runs/todo.dead", "runs/todo"}) {
    put(root / file);
  }
  store.rebuild_index();
  store.prune(keep_last(1));
  EXPECT_EQ(count(store, "a"), 1u);
  for (const char* file :
       {"index.backup/notes.txt", "runs/thesis.new/notes.txt", "runs/thesis.dead/notes.txt",
        "runs/old/notes.txt", "index.html", "runs/todo.new", "runs/todo.dead", "runs/todo"}) {
    EXPECT_TRUE(std::filesystem::exists(root / file)) << file;
  }
}

TEST_F(NamesTest, WhatAKilledRunMakingLeftIsTakenAway) {
  Store store = Store::create(path());
  save_run(store, "a", 1);
  const auto left = path() / "runs" / "b-0123456789abcdef0123456789abcdef.new";
  std::filesystem::create_directory(left);
  put(left / "journal");
  store.prune(keep_last(1));
  EXPECT_FALSE(std::filesystem::exists(left));
}

}  // namespace
}  // namespace ckp

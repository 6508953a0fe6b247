// The index is disposable, and a store opens without repair after any interruption.
#include <fcntl.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <set>

#include "ckp/format/store_identity.h"
#include "index/rows.h"
#include "sample_states.h"
#include "store/layout.h"
#include "store_fixture.h"
#include "support/faulty_file_system.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::SmallState;
using test::StoreTest;

class RecoveryTest : public StoreTest {
 protected:
  // Two runs, four checkpoints.
  void fill() {
    Store store = Store::create(path());
    ckp::Run a = store.create_run(run_options("a"));
    save(a, 1, 0.9);
    save(a, 2, 0.8);
    ckp::Run b = store.create_run(run_options("b"));
    save(b, 1, 0.7);
    save(b, 2, 0.6);
  }
  void expect_complete(const Store& store) {
    ASSERT_EQ(store.runs().size(), 2u);
    for (const std::string name : {"a", "b"}) {
      EXPECT_EQ(epochs(store.checkpoints(store.run(name).id)), (std::vector<std::int64_t>{1, 2}));
      EXPECT_EQ(store.find(parse_address(name + "@best")).epoch, 2);
      EXPECT_TRUE(
          SmallState(2).is_in(store.open_checkpoint(store.find(parse_address(name + "@latest")))));
    }
  }
  std::filesystem::path data_file() const { return path() / "index" / "data.mdb"; }

  // Where the index has the checkpoints' ids: in keys and in values.
  std::vector<std::size_t> places_of_values(const std::vector<std::byte>& data) const {
    std::vector<std::vector<std::byte>> wanted;
    const Store store = Store::open(path());
    for (const std::string name : {"a", "b"}) {
      for (const CheckpointRecord& one : store.checkpoints(store.run(name).id)) {
        wanted.emplace_back(one.id.bytes.begin(), one.id.bytes.end());
      }
    }
    std::vector<std::size_t> places;
    for (const auto& bytes : wanted) {
      auto at = data.begin();
      while ((at = std::search(at, data.end(), bytes.begin(), bytes.end())) != data.end()) {
        places.push_back(static_cast<std::size_t>(at++ - data.begin()) + 5);
      }
    }
    return places;
  }
  void make_stamp_agree() {
    format::StateBlock block = read_block();
    const auto status = *posix_file_system()->status(data_file());
    block.stamp = {status.device, status.inode, status.size, status.changed_ns,
                   block.stamp.transaction};
    write_block(block);
  }

  format::StateBlock read_block() {
    std::ifstream in(path() / "lock", std::ios::binary);
    std::vector<char> bytes(format::StateBlock::size);
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return format::decode_state_block(std::as_bytes(std::span(bytes))).value();
  }
  void write_block(const format::StateBlock& block) {
    const auto bytes = format::encode_state_block(block);
    std::fstream out(path() / "lock", std::ios::in | std::ios::out | std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
  }
};

TEST_F(RecoveryTest, DeletedIndexIsRebuilt) {
  fill();
  std::filesystem::remove_all(path() / "index");
  expect_complete(Store::open(path()));
}

// An older version's index: made anew, and no word about damage.
TEST_F(RecoveryTest, AnIndexOfAnotherSchemaIsMadeAnewSilently) {
  fill();
  const auto make_older = [&] {
    const auto fs = posix_file_system();
    const auto tables = Tables::open(*fs, path() / "index", path() / "lock");
    tables->write([&](TableWriter& writer) {
      RowWriter rows(writer);
      StoreRow older = decode_store_row(*rows.get(Table::meta, row_key::store()));
      older.schema = 1;
      rows.put(Table::meta, row_key::store(), encode(older));
      rows.finish();
    });
    make_stamp_agree();
  };
  make_older();
  const Store store = Store::open(path());
  expect_complete(store);
  EXPECT_EQ(store.index_damage(), std::nullopt);
  make_older();
  {
    Store saving = Store::open(path());
    ckp::Run c = saving.create_run(run_options("c"));
    save(c, 1, 0.5);
  }
  Store after = Store::open(path());
  EXPECT_EQ(after.runs().size(), 3u);
  EXPECT_EQ(after.index_damage(), std::nullopt);
  make_older();
  Store removing = Store::open(path());
  removing.remove_run("c");
  EXPECT_EQ(removing.index_damage(), std::nullopt);
  expect_complete(removing);
}

// As bits rot, which no time of the file shows: the stamp agrees with what is there.
TEST_F(RecoveryTest, DamagedIndexIsRebuiltAndNeverBelieved) {
  fill();
  const auto sound = test::read_bytes(data_file());
  test::write_bytes(data_file(), sound);
  make_stamp_agree();
  expect_complete(Store::open(path()));
  ASSERT_EQ(test::read_bytes(data_file()), sound) << "the stamp alone has it made anew";
  std::vector<std::size_t> places = places_of_values(sound);
  ASSERT_GE(places.size(), 8u) << "of four checkpoints, in keys and values";
  std::mt19937_64 random(test::seed(11));
  for (int i = 0; i < 20; ++i) places.push_back(random() % sound.size());
  std::size_t made_anew = 0;
  for (const std::size_t at : places) {
    SCOPED_TRACE(at);
    auto bytes = sound;
    bytes[at] ^= static_cast<std::byte>(1u << (random() % 8));
    test::write_bytes(data_file(), bytes);
    make_stamp_agree();
    expect_complete(Store::open(path()));
    if (test::read_bytes(data_file()) != bytes) ++made_anew;
  }
  EXPECT_GE(made_anew, 4u) << "at least the records of the four checkpoints have checksums";
}

TEST_F(RecoveryTest, TruncatedIndexIsRebuilt) {
  fill();
  std::filesystem::resize_file(data_file(), 4096);
  expect_complete(Store::open(path()));
  std::filesystem::resize_file(data_file(), 0);
  expect_complete(Store::open(path()));
}

// Nobody else's files are unlinked, and none of them is in the way of a new index.
TEST_F(RecoveryTest, WhatOthersPutIntoTheIndexIsKeptAndStopsNoRebuild) {
  fill();
  const auto index = path() / "index";
  std::filesystem::create_directory(index / "sub");
  std::ofstream(index / "sub" / "x") << "mine";
  std::ofstream(index / "mynotes.txt") << "mine";
  Store store = Store::open(path());
  for (const int round : {1, 2, 3}) {
    SCOPED_TRACE(round);
    std::filesystem::resize_file(data_file(), 0);
    EXPECT_EQ(store.rebuild_index().checkpoints, 4u);
    expect_complete(store);
    std::multiset<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path())) {
      const auto folder = std::filesystem::relative(entry.path(), path()).begin()->string();
      if (!folder.starts_with("index") || !entry.is_regular_file()) continue;
      names.insert(entry.path().filename().string());
    }
    EXPECT_EQ(names, (std::multiset<std::string>{"data.mdb", "mynotes.txt", "x"}));
  }
}

TEST_F(RecoveryTest, LostLockFileIsMadeAnew) {
  fill();
  std::filesystem::remove(path() / "lock");
  Store store = Store::open(path());
  expect_complete(store);
  ckp::Run run = store.resume_run("a");
  EXPECT_GT(save(run, 3).commit, store.find(parse_address("a@2")).commit);
}

TEST_F(RecoveryTest, ACopyOfAStoreDistrustsTheCopiedIndex) {
  fill();
  const auto copy = directory_ / "copy";
  std::filesystem::copy(path(), copy, std::filesystem::copy_options::recursive);
  Store store = Store::open(copy);
  expect_complete(store);
  {
    ckp::Run run = store.resume_run("a");
    save(run, 3);
  }
  expect_complete(Store::open(path()));
}

// Killed between C4 and C8: the pack may be there, and the index does not know it.
TEST_F(RecoveryTest, ACheckpointThatTheIndexMissedIsFound) {
  fill();
  format::StateBlock before = read_block();
  Store store = Store::open(path());
  {
    ckp::Run run = store.resume_run("a");
    before = read_block();
    save(run, 3, 0.1);
  }
  // The state block as the killed process left it, with the index of after the commit: the stamp
  // does not agree, so it is rebuilt.
  before.begin = before.end + 1;
  before.run_directory = store.run("a").directory;
  write_block(before);
  Store reopened = Store::open(path());
  EXPECT_EQ(reopened.find(parse_address("a@best")).epoch, 3);
}

TEST_F(RecoveryTest, AnIndexFromBeforeTheLastBootIsResynced) {
  fill();
  const std::string directory = Store::open(path()).run("a").directory;
  // A pack arrives that no commit told this index about, and the machine boots.
  const auto copy = directory_ / "copy";
  std::filesystem::copy(path(), copy, std::filesystem::copy_options::recursive);
  Store other = Store::open(copy);
  ckp::Run run = other.resume_run("a");
  const auto saved = run.save(SmallState(3).dict(), {.epoch = 3, .step = 300}).wait();
  PackName name;
  name.uuid = saved.checkpoint.id;
  name.commit = 77;
  name.step = 300;
  const auto runs = path() / "runs" / directory;
  std::filesystem::copy(saved.path, runs / to_file_name(name));
  for (const auto& entry : std::filesystem::directory_iterator(copy / "runs" / directory)) {
    const auto target = runs / entry.path().filename();
    const bool is_journal = entry.path().filename().string().starts_with("journal-");
    if (is_journal && !std::filesystem::exists(target)) std::filesystem::copy(entry, target);
  }
  format::StateBlock block = read_block();
  block.boot.bytes[0] ^= std::byte{1};
  write_block(block);

  Store store = Store::open(path());
  const auto all = store.checkpoints(store.run("a").id);
  EXPECT_EQ(epochs(all), (std::vector<std::int64_t>{1, 2, 3}));
  ckp::Run resumed = store.resume_run("b");
  EXPECT_GT(save(resumed, 9).commit, 77u);  // no number is given twice
}

TEST_F(RecoveryTest, RebuildSaysWhatItFound) {
  fill();
  const auto report = Store::open(path()).rebuild_index();
  EXPECT_EQ(report.runs, 2u);
  EXPECT_EQ(report.checkpoints, 4u);
  EXPECT_GT(report.chunks, 0u);
}

TEST_F(RecoveryTest, LostJournalsCostParametersButNoCheckpoints) {
  fill();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path() / "runs")) {
    if (entry.path().filename().string().starts_with("journal-")) {
      std::filesystem::remove(entry.path());
    }
  }
  Store store = Store::open(path());
  store.rebuild_index();
  EXPECT_EQ(epochs(store.checkpoints(store.run("a").id)), (std::vector<std::int64_t>{1, 2}));
  const auto report = store.verify();
  EXPECT_FALSE(report.clean());
  EXPECT_NE(report.findings.front().message.find("journal"), std::string::npos);
}

TEST_F(RecoveryTest, APackOfAnotherRunIsNotTakenForACheckpointOfThisOne) {
  fill();
  Store store = Store::open(path());
  const auto a = store.find(parse_address("a@1"));
  PackName name;
  name.uuid = a.id;
  name.commit = a.commit;
  name.step = a.step;
  const auto from = path() / "runs" / store.run("a").directory / to_file_name(name);
  const auto to = path() / "runs" / store.run("b").directory / to_file_name(name);
  std::filesystem::copy(from, to);
  store.rebuild_index();
  EXPECT_EQ(epochs(store.checkpoints(store.run("b").id)), (std::vector<std::int64_t>{1, 2}));
  EXPECT_FALSE(store.verify().clean());
}

// What could not be read while the index was made anew is not taken for absent.
TEST_F(RecoveryTest, AnIndexMadeDuringAnErrorIsNotTrusted) {
  fill();
  std::filesystem::remove_all(path() / "index");
  const auto fs = std::make_shared<test::FaultyFileSystem>(posix_file_system(), path());
  StoreOptions options;
  options.file_system = fs;
  const Store store = Store::open(path(), options);
  fs->plan({.at = 1, .only = [](const std::string& operation) {
              return operation.starts_with("open ") &&
                     operation.find("-000000200-") != std::string::npos;
            }});
  try {
    EXPECT_EQ(epochs(store.checkpoints(store.run("a").id)), (std::vector<std::int64_t>{1, 2}));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io) << error.what();
  }
  EXPECT_EQ(fs->failures(), 1u);
  fs->clear();
  expect_complete(Store::open(path()));
  expect_complete(store);
}

// A copy made while saves go on: its lock file is older than its packs.
TEST_F(RecoveryTest, ACopyWithAnOldLockFileGivesNoNumberTwice) {
  const auto copy = directory_ / "copy";
  {
    Store store = Store::create(path());
    ckp::Run run = store.create_run(run_options("a"));
    save(run, 1);
    std::filesystem::create_directory(copy);
    for (const char* name : {"lock", "STORE"}) std::filesystem::copy(path() / name, copy / name);
    for (int epoch = 2; epoch <= 6; ++epoch) save(run, epoch);
    std::filesystem::copy(path() / "runs", copy / "runs", std::filesystem::copy_options::recursive);
  }
  Store store = Store::open(copy);
  {
    ckp::Run run = store.resume_run("a");
    EXPECT_EQ(run.continued_from()->record().epoch, 6);
    EXPECT_GT(save(run, 7).commit, run.continued_from()->record().commit);
  }
  const auto all = store.checkpoints(store.run("a").id);
  EXPECT_EQ(epochs(all), (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7}));
  std::set<std::uint64_t> commits;
  for (const CheckpointRecord& checkpoint : all) commits.insert(checkpoint.commit);
  EXPECT_EQ(commits.size(), all.size());
  EXPECT_EQ(store.find(parse_address("a")).epoch, 7);
  KeepPolicy policy;
  policy.last = 1;
  store.prune(policy);
  EXPECT_EQ(epochs(store.checkpoints(store.run("a").id)), (std::vector<std::int64_t>{7}));
}

// A backup put back over the store, in place: lock file and index are older than the packs, and fit
// each other.
TEST_F(RecoveryTest, ABackupPutBackGivesNoNumberTwice) {
  Store store = Store::create(path());
  {
    ckp::Run run = store.create_run(run_options("a"));
    save(run, 1);
  }
  const std::vector<std::filesystem::path> files = {"lock", "index/data.mdb"};
  for (const auto& file : files) {
    std::filesystem::copy(path() / file, directory_ / file.filename());
  }
  {
    ckp::Run run = store.resume_run("a");
    for (int epoch = 2; epoch <= 6; ++epoch) save(run, epoch);
  }
  for (const auto& file : files) {
    std::ifstream from(directory_ / file.filename(), std::ios::binary);
    std::fstream to(path() / file, std::ios::in | std::ios::out | std::ios::binary);
    to << from.rdbuf();
  }
  Store again = Store::open(path());
  {
    ckp::Run run = again.resume_run("a");
    EXPECT_EQ(run.continued_from()->record().epoch, 6);
    EXPECT_GT(save(run, 7).commit, run.continued_from()->record().commit);
  }
  EXPECT_EQ(again.find(parse_address("a")).epoch, 7);
}

// Numbers that began again at zero would put the newest checkpoints below all others.
TEST_F(RecoveryTest, AStrayNameWithTheLargestNumberCostsNoCheckpoint) {
  Store store = Store::create(path());
  {
    ckp::Run run = store.create_run(run_options("a"));
    const auto first = save(run, 1);
    const auto pack = path() / "runs" / run_directory_name("a", run.record().id) / live_name(first);
    PackName name = *parse_pack_name(pack.filename().string());
    name.commit = ~std::uint64_t{0} - 1;
    std::filesystem::copy(pack, pack.parent_path() / to_file_name(name));
    name.commit = ~std::uint64_t{0};
    std::filesystem::copy(pack, pack.parent_path() / to_file_name(name));
  }
  std::filesystem::remove(path() / "lock");
  Store again = Store::open(path());
  {
    ckp::Run run = again.resume_run("a");
    for (int epoch = 2; epoch <= 4; ++epoch) save(run, epoch);
  }
  KeepPolicy policy;
  policy.last = 1;
  again.prune(policy);
  EXPECT_EQ(epochs(again.checkpoints(again.run("a").id)), (std::vector<std::int64_t>{4}));
}

}  // namespace
}  // namespace ckp

#include "index/index.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/index_samples.h"
#include "index/rows.h"
#include "support/child_process.h"
#include "support/expect_error.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::IndexFiles;
using test::IndexModel;
using test::numbered_uuid;
using test::sample_checkpoint;
using test::sample_chunk;
using test::sample_run;

TEST(Index, AnswersWhatWasPut) {
  IndexFiles place;
  const auto index = place.open();
  const RunRecord run = sample_run(1, "cnn");
  const CheckpointRecord second = sample_checkpoint(run, 11, 300);
  const CheckpointRecord first = sample_checkpoint(run, 12, 2);
  index->update([&](IndexUpdate& update) {
    update.put_run(run);
    update.put_checkpoint(second);
    update.put_checkpoint(first);
  });
  EXPECT_EQ(index->run_named("cnn"), run);
  EXPECT_EQ(index->run_named("cn"), std::nullopt);
  EXPECT_EQ(index->run_named("cnn2"), std::nullopt);
  EXPECT_EQ(index->run(run.id), run);
  EXPECT_EQ(index->run(numbered_uuid(2)), std::nullopt);
  EXPECT_EQ(index->checkpoints(run.id), (std::vector{first, second}));
  EXPECT_EQ(index->checkpoint(first.id), first);
  EXPECT_EQ(index->checkpoint(numbered_uuid(13)), std::nullopt);
  EXPECT_TRUE(index->check().empty());
}

TEST(Index, IsStillThereAfterOpeningAgain) {
  IndexFiles place;
  const RunRecord run = sample_run(1, "cnn");
  place.open()->update([&](IndexUpdate& update) { update.put_run(run); });
  const auto index = place.open();
  EXPECT_EQ(index->runs(), std::vector{run});
  EXPECT_TRUE(index->check().empty());
}

TEST(Index, AChangedNameMovesItsEntry) {
  IndexFiles place;
  const auto index = place.open();
  RunRecord run = sample_run(1, "old");
  index->update([&](IndexUpdate& update) { update.put_run(run); });
  run.name = "new";
  index->update([&](IndexUpdate& update) { update.put_run(run); });
  EXPECT_EQ(index->run_named("old"), std::nullopt);
  EXPECT_EQ(index->run_named("new"), run);
  EXPECT_EQ(index->runs().size(), 1u);
}

// Two runs can get one name when directories are copied by hand; neither may hide for ever.
TEST(Index, OfTwoRunsWithOneNameTheOtherStaysWhenOneGoes) {
  IndexFiles place;
  const auto index = place.open();
  const RunRecord a = sample_run(1, "twin"), b = sample_run(2, "twin");
  index->update([&](IndexUpdate& update) {
    update.put_run(a);
    update.put_run(b);
  });
  const auto shown = index->run_named("twin");
  ASSERT_TRUE(shown);
  index->update([&](IndexUpdate& update) { update.erase_run(shown->id); });
  EXPECT_EQ(index->run_named("twin"), shown->id == a.id ? b : a);
}

TEST(Index, ErasingARunErasesItsCheckpointsOnly) {
  IndexFiles place;
  const auto index = place.open();
  const RunRecord a = sample_run(1, "a"), b = sample_run(2, "b");
  index->update([&](IndexUpdate& update) {
    update.put_run(a);
    update.put_run(b);
    for (std::uint64_t i = 0; i < 50; ++i) {
      update.put_checkpoint(sample_checkpoint(i % 2 == 0 ? a : b, 100 + i, i));
    }
    update.put_chunks(std::vector{sample_chunk(1, 100, 0)});
  });
  index->update([&](IndexUpdate& update) { update.erase_run(a.id); });
  EXPECT_EQ(index->run(a.id), std::nullopt);
  EXPECT_EQ(index->run_named("a"), std::nullopt);
  EXPECT_TRUE(index->checkpoints(a.id).empty());
  EXPECT_EQ(index->checkpoint(numbered_uuid(100)), std::nullopt);
  EXPECT_EQ(index->checkpoints(b.id).size(), 25u);
  EXPECT_EQ(index->chunk_count(), 1u);
  EXPECT_TRUE(index->check().empty());
}

TEST(Index, ACheckpointThatMovedStandsOnce) {
  IndexFiles place;
  const auto index = place.open();
  const RunRecord run = sample_run(1, "cnn");
  CheckpointRecord one = sample_checkpoint(run, 11, 5);
  index->update([&](IndexUpdate& update) { update.put_checkpoint(one); });
  one.commit = 6;
  index->update([&](IndexUpdate& update) { update.put_checkpoint(one); });
  EXPECT_EQ(index->checkpoints(run.id), std::vector{one});
  index->update([&](IndexUpdate& update) {
    update.erase_checkpoint(one.id);
    update.erase_checkpoint(one.id);  // no error when absent
  });
  EXPECT_TRUE(index->checkpoints(run.id).empty());
}

TEST(Index, FindsCheckpointsByTheBeginningOfTheirId) {
  IndexFiles place;
  const auto index = place.open();
  const RunRecord run = sample_run(1, "cnn");
  CheckpointRecord a = sample_checkpoint(run, 1, 1), b = a, c = a;
  a.id = *Uuid::from_hex("abcdef00000000000000000000000001");
  b.id = *Uuid::from_hex("abcdef10000000000000000000000001");
  c.id = *Uuid::from_hex("abce0000000000000000000000000001");
  b.commit = 2, c.commit = 3;
  index->update([&](IndexUpdate& update) {
    for (const auto& one : {a, b, c}) update.put_checkpoint(one);
  });
  EXPECT_EQ(index->checkpoints_by_prefix("abc", 9), (std::vector{a, b, c}));
  EXPECT_EQ(index->checkpoints_by_prefix("abcd", 9), (std::vector{a, b}));
  EXPECT_EQ(index->checkpoints_by_prefix("ABCDEF1", 9), std::vector{b});
  EXPECT_EQ(index->checkpoints_by_prefix("abcdef00000000000000000000000001", 9), std::vector{a});
  EXPECT_EQ(index->checkpoints_by_prefix("", 2), (std::vector{a, b}));
  EXPECT_TRUE(index->checkpoints_by_prefix("abcdef2", 9).empty());
  EXPECT_TRUE(index->checkpoints_by_prefix("not hex", 9).empty());
  EXPECT_TRUE(index->checkpoints_by_prefix(std::string(33, 'a'), 9).empty());
}

TEST(Index, FindsAllPlacesOfAChunkUpToTheLimit) {
  IndexFiles place;
  const auto index = place.open();
  index->update([&](IndexUpdate& update) {
    update.put_chunks(std::vector{sample_chunk(7, 1, 0), sample_chunk(7, 1, 5),
                                  sample_chunk(7, 2, 0), sample_chunk(8, 2, 1)});
  });
  const Digest seven = sample_chunk(7, 0, 0).raw_digest, nine = sample_chunk(9, 0, 0).raw_digest;
  const auto found = index->find_chunks(std::vector{seven, nine}, 2);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].size(), 2u);
  EXPECT_EQ(index->find_chunks(std::vector{seven}, 10)[0].size(), 3u);
  EXPECT_EQ(index->find_chunks(std::vector{seven}, 0)[0].size(), 0u);
  const std::vector packs{numbered_uuid(1), numbered_uuid(77)};
  index->update([&](IndexUpdate& update) { update.erase_chunks(packs); });
  EXPECT_EQ(index->chunk_count(), 2u);
  ASSERT_EQ(index->find_chunks(std::vector{seven}, 10)[0].size(), 1u);
  EXPECT_EQ(index->find_chunks(std::vector{seven}, 10)[0][0].address.pack, numbered_uuid(2));
  EXPECT_TRUE(index->check().empty());
}

TEST(Index, NothingOfAFailedUpdateIsVisible) {
  IndexFiles place;
  const auto index = place.open();
  const auto before = index->dump();
  struct Stop {};
  EXPECT_THROW(index->update([&](IndexUpdate& update) {
    update.put_run(sample_run(1, "cnn"));
    throw Stop{};
  }),
               Stop);
  EXPECT_EQ(index->dump(), before);
  index->update([&](IndexUpdate& update) { update.put_run(sample_run(1, "cnn")); });
  EXPECT_EQ(index->runs().size(), 1u);
}

TEST(Index, RefusesTheIndexOfAnotherStore) {
  IndexFiles place;
  place.open();
  place.store = numbered_uuid(1);
  test::expect_error(ErrorCode::corrupt, "expected " + place.store.hex(), [&] { place.open(); });
}

TEST(Index, RefusesANameThatNoKeyCanHold) {
  IndexFiles place;
  const auto index = place.open();
  test::expect_error(ErrorCode::invalid_argument, "401 bytes", [&] {
    index->update(
        [&](IndexUpdate& update) { update.put_run(sample_run(1, std::string(401, 'x'))); });
  });
}

TEST(Index, TheStampChangesWithEachUpdateAndNotWithReading) {
  IndexFiles place;
  const auto index = place.open();
  const auto before = index->stamp();
  (void)index->runs();
  (void)index->check();
  place.open();
  EXPECT_EQ(index->stamp(), before);
  index->update([&](IndexUpdate& update) { update.put_run(sample_run(1, "cnn")); });
  const auto after = index->stamp();
  EXPECT_EQ(after.transaction, before.transaction + 1);
  EXPECT_EQ(after.inode, before.inode);
  EXPECT_NE(after, before);
  EXPECT_EQ(after, place.open()->stamp());
}

TEST(Index, NoticesThatItsFileWasReplaced) {
  IndexFiles place;
  const auto index = place.open();
  EXPECT_TRUE(index->is_current());
  std::filesystem::rename(place.index(), place.directory / "old");
  EXPECT_FALSE(index->is_current());
  place.open();
  EXPECT_FALSE(index->is_current());
  // The old file can still be read meanwhile.
  EXPECT_TRUE(index->runs().empty());
  EXPECT_FALSE(index->check().empty());
}

TEST(Index, OrderOfChangesDoesNotShow) {
  IndexFiles grown, rebuilt;
  const RunRecord a = sample_run(1, "a"), b = sample_run(2, "b");
  const auto first = grown.open();
  first->update([&](IndexUpdate& update) {
    update.put_run(b);
    update.put_checkpoint(sample_checkpoint(b, 20, 2));
    update.put_chunks(std::vector{sample_chunk(1, 20, 0), sample_chunk(2, 20, 1)});
  });
  first->update([&](IndexUpdate& update) {
    update.erase_run(b.id);
    update.erase_chunks(std::vector{numbered_uuid(20)});
    update.put_run(a);
    update.put_checkpoint(sample_checkpoint(a, 11, 1));
  });
  const auto second = rebuilt.open();
  second->update([&](IndexUpdate& update) {
    update.put_checkpoint(sample_checkpoint(a, 11, 1));
    update.put_run(a);
  });
  EXPECT_EQ(first->dump(), second->dump());
}

// Their keys would be longer than LMDB takes.
TEST(Index, MetricsWithLongNamesAreLeftOutOfTheOrder) {
  IndexFiles place;
  const auto index = place.open();
  const RunRecord run = sample_run(1, "cnn");
  CheckpointRecord one = sample_checkpoint(run, 2, 1);
  const std::string longest(400, 'm'), longer(401, 'm');
  one.metrics = {{longest, 1}, {longer, 2}, {std::string(5000, 'm'), 3}};
  index->update([&](IndexUpdate& update) {
    update.put_run(run);
    update.put_checkpoint(one);
  });
  index->look([&](SearchView& view) {
    EXPECT_TRUE(view.has_order_of(longest));
    EXPECT_FALSE(view.has_order_of(longer));
    int found = 0;
    view.by_value_in(run.id, longest, {}, false, [&](const MetricEntry& entry) {
      EXPECT_EQ(view.checkpoint(entry), one);
      return ++found > 0;
    });
    EXPECT_EQ(found, 1);
  });
  index->update([&](IndexUpdate& update) { update.erase_run(run.id); });
  EXPECT_TRUE(index->check().empty());
  EXPECT_EQ(index->summary(), IndexSummary{});
}

TEST(Index, RunsAreDecodedOnceAndChangesAreSeen) {
  IndexFiles place;
  const auto index = place.open(), other = place.open();
  std::vector<RunRecord> runs;
  for (std::uint64_t i = 0; i < 5; ++i) runs.push_back(sample_run(i, "run " + std::to_string(i)));
  index->update([&](IndexUpdate& update) {
    for (const RunRecord& run : runs) update.put_run(run);
  });
  const auto first = index->run_list().runs;
  EXPECT_EQ(index->run_list().runs, first) << "the same list";
  runs[3].status = RunStatus::completed;
  other->update([&](IndexUpdate& update) { update.put_run(runs[3]); });
  const auto second = index->run_list().runs;
  ASSERT_EQ(second->size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(*(*second)[i], runs[i]);
    EXPECT_EQ((*second)[i] == (*first)[i], i != 3);
  }
  other->update([&](IndexUpdate& update) { update.erase_run(runs[0].id); });
  EXPECT_EQ(index->run_list().runs->size(), 4u);
  EXPECT_EQ(index->run_list().runs->front(), (*second)[1]);
}

// An index that an older version made has none of the newer tables.
TEST(Index, AnotherSchemaIsTold) {
  IndexFiles place;
  place.open();
  const auto tables = Tables::open(*place.fs, place.index(), place.lock());
  tables->write([&](TableWriter& writer) {
    RowWriter rows(writer);
    rows.put(Table::meta, row_key::store(), encode(StoreRow{1, place.store}));
    rows.finish();
  });
  EXPECT_THROW(place.open(), OtherIndexSchema);
}

TEST(Index, RandomChangesGiveWhatANaiveModelGives) {
  std::mt19937_64 random(test::seed(20261));
  IndexFiles place;
  auto index = place.open();
  IndexModel model;
  for (int round = 0; round < 40; ++round) {
    index->update([&](IndexUpdate& update) {
      for (int i = 0; i < 25; ++i) {
        const std::uint64_t number = random() % 30;
        const RunRecord run = sample_run(number % 6, "run " + std::to_string(number % 6));
        switch (random() % 6) {
          case 0: {
            RunRecord changed = run;
            changed.parameters["round"] = round;
            update.put_run(changed);
            model.runs[run.id] = changed;
            break;
          }
          case 1:
            if (random() % 8 != 0) break;
            update.erase_run(run.id);
            model.runs.erase(run.id);
            std::erase_if(model.checkpoints, [&](auto& one) { return one.second.run == run.id; });
            break;
          case 2: {
            auto checkpoint = sample_checkpoint(run, number, random() % 400);
            checkpoint.attempt = static_cast<std::uint32_t>(1 + random() % 3);
            checkpoint.nonfinite = random() % 4 == 0;
            constexpr double aucs[] = {-0.0, 0, 0.5, -2, NAN, INFINITY, -INFINITY};
            checkpoint.metrics["auc"] = aucs[random() % std::size(aucs)];
            if (random() % 3 == 0) checkpoint.metrics[""] = 1;
            if (random() % 5 == 0) checkpoint.salvaged_from = numbered_uuid(number + 1000);
            update.put_checkpoint(checkpoint);
            model.checkpoints[checkpoint.id] = checkpoint;
            break;
          }
          case 3:
            update.erase_checkpoint(numbered_uuid(number));
            model.checkpoints.erase(numbered_uuid(number));
            break;
          case 4: {
            std::vector<ChunkRow> rows;
            for (std::uint32_t n = 0; n < 20; ++n) {
              rows.push_back(sample_chunk(random() % 50, number, n));
              model.chunks[rows.back().address] = rows.back();
            }
            update.put_chunks(rows);
            break;
          }
          default:
            update.erase_chunks(std::vector{numbered_uuid(number)});
            std::erase_if(model.chunks,
                          [&](auto& one) { return one.first.pack == numbered_uuid(number); });
        }
      }
    });
    if (round % 10 == 9) index = place.open();
    ASSERT_EQ(test::count_wrong(*index, model), 0) << "round " << round;
    const auto problems = index->check();
    ASSERT_TRUE(problems.empty()) << problems.front();
  }
}

// Large values live on pages of their own, which a transaction may give back before they were ever
// written: the file must be as long as it says nevertheless.
TEST(Index, LargeRecordsComeAndGoInOneUpdate) {
  std::mt19937_64 random(test::seed(20262));
  IndexFiles place;
  const auto index = place.open();
  for (int round = 0; round < 30; ++round) {
    index->update([&](IndexUpdate& update) {
      for (int i = 0; i < 10; ++i) {
        RunRecord run = sample_run(random() % 5, "large");
        run.tags["notes"] = std::string(random() % 60'000, 'x');
        update.put_run(run);
        if (random() % 2 == 0) update.erase_run(run.id);
      }
    });
    const auto problems = index->check();
    ASSERT_TRUE(problems.empty()) << "round " << round << ": " << problems.front();
    EXPECT_NO_THROW((void)place.open()->runs());
  }
}

TEST(Index, IsUnusableAfterFork) {
  IndexFiles place;
  const auto index = place.open();
  auto inherited = place.open();
  test::ChildProcess child([&] {
    int refused = 0;
    const auto expect = [&](const std::function<void()>& action) {
      try {
        action();
      } catch (const Error& error) {
        refused += error.code() == ErrorCode::invalid_argument &&
                   std::string_view(error.what()).find("forked") != std::string_view::npos;
      }
    };
    expect([&] { (void)index->runs(); });
    expect([&] { index->update([](IndexUpdate&) {}); });
    expect([&] { (void)index->stamp(); });
    expect([&] { (void)index->check(); });
    inherited.reset();
    place.open()->update([&](IndexUpdate& update) { update.put_run(sample_run(1, "child")); });
    return refused == 4 ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(index->run_named("child"));
  index->update([&](IndexUpdate& update) { update.put_run(sample_run(2, "parent")); });
  EXPECT_TRUE(index->check().empty());
}

}  // namespace
}  // namespace ckp

// What the tables' own reader finds in pages that LMDB has written is what was put there.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>

#include "engine/index_samples.h"
#include "index/tables.h"
#include "support/effort.h"
#include "support/expect_error.h"
#include "support/seed.h"

namespace ckp {
namespace {

using Row = std::pair<std::string, std::string>;
using Rows = std::map<std::string, std::string>;  // sorted as LMDB sorts
constexpr Table used_tables[] = {Table::runs, Table::checkpoints, Table::metric_values};

BytesView bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string text_of(BytesView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class PagedTablesTest : public testing::Test {
 protected:
  std::string random_key() {
    std::string key(1 + random_() % 40, char(0));
    for (char& c : key) c = static_cast<char>(random_() % 4 * 85);  // many with one beginning
    return key;
  }
  std::string random_value() {
    const std::size_t size = random_() % 50 == 0 ? random_() % 20'000 : random_() % 300;
    return std::string(size, static_cast<char>(random_()));
  }
  std::string random_known_key(const Rows& rows) {
    if (rows.empty()) return random_key();
    const auto found = rows.lower_bound(random_key());
    return found == rows.end() ? rows.rbegin()->first : found->first;
  }

  void change(Tables& tables, int changes) {
    tables.write([&](TableWriter& writer) {
      for (int i = 0; i < changes; ++i) {
        const std::size_t which = random_() % std::size(used_tables);
        Rows& rows = model_[which];
        if (random_() % 5 < 2) {
          const std::string key = random_known_key(rows);
          EXPECT_EQ(writer.erase(used_tables[which], bytes_of(key)), rows.erase(key) > 0);
        } else {
          const std::string key = random_key();
          rows[key] = random_value();
          writer.put(used_tables[which], bytes_of(key), bytes_of(rows[key]));
        }
      }
    });
  }

  // Of up to so many rows from there on.
  static std::vector<Row> taken(TableReader& reader, Table table, const std::string& at, bool back,
                                std::size_t count) {
    std::vector<Row> rows;
    const auto take = [&](BytesView key, BytesView value) {
      rows.emplace_back(text_of(key), text_of(value));
      return rows.size() < count;
    };
    if (back) {
      reader.scan_back(table, bytes_of(at), take);
    } else {
      reader.scan(table, bytes_of(at), take);
    }
    return rows;
  }

  void compare(TableReader& reader, std::size_t which) {
    const Rows& rows = model_[which];
    const Table table = used_tables[which];
    for (int i = 0; i < 20; ++i) {
      const std::string key = random_() % 2 == 0 ? random_key() : random_known_key(rows);
      const auto value = reader.get(table, bytes_of(key));
      const auto expected = rows.find(key);
      ASSERT_EQ(value.has_value(), expected != rows.end());
      if (value) {
        ASSERT_EQ(text_of(*value), expected->second);
      }
      const std::size_t count = 1 + (random_() % 4 == 0 ? rows.size() : random_() % 90);
      std::vector<Row> up(rows.lower_bound(key), rows.end());
      std::vector<Row> down(std::make_reverse_iterator(rows.lower_bound(key)), rows.rend());
      if (up.size() > count) up.resize(count);
      if (down.size() > count) down.resize(count);
      ASSERT_EQ(taken(reader, table, key, false, count), up);
      ASSERT_EQ(taken(reader, table, key, true, count), down);
    }
    ASSERT_EQ(taken(reader, table, "", false, SIZE_MAX),
              std::vector<Row>(rows.begin(), rows.end()));
  }

  std::mt19937_64 random_{test::seed(20271)};
  std::array<Rows, std::size(used_tables)> model_;
  test::IndexFiles place_;
};

TEST_F(PagedTablesTest, GivesWhatLmdbWasGiven) {
  const auto writer = Tables::open(*place_.fs, place_.index(), place_.lock());
  const auto other = Tables::open(*place_.fs, place_.index(), place_.lock());
  for (std::uint64_t round = 0; round < test::effort(25); ++round) {
    SCOPED_TRACE(round);
    change(*writer, round % 5 == 4 ? 2500 : 60);
    for (const Tables* tables : {writer.get(), other.get()}) {
      tables->read([&](TableReader& reader) {
        for (std::size_t i = 0; i < std::size(used_tables); ++i) compare(reader, i);
      });
      if (HasFatalFailure()) return;
    }
    EXPECT_TRUE(other->check_pages().empty());
  }
}

TEST_F(PagedTablesTest, ATableThatHasLostItsRowsIsEmpty) {
  const auto tables = Tables::open(*place_.fs, place_.index(), place_.lock());
  const auto count = [&] {
    std::size_t rows = 0;
    tables->read([&](TableReader& reader) {
      rows = taken(reader, Table::runs, "", false, SIZE_MAX).size();
      EXPECT_EQ(taken(reader, Table::runs, "z", true, SIZE_MAX).size(), rows);
      EXPECT_EQ(reader.get(Table::runs, bytes_of("b")).has_value(), rows > 0);
    });
    return rows;
  };
  EXPECT_EQ(count(), 0u);
  const auto put = [](TableWriter& writer) {
    writer.put(Table::runs, bytes_of("b"), bytes_of("value"));
  };
  const auto erase = [](TableWriter& writer) { writer.erase(Table::runs, bytes_of("b")); };
  tables->write(put);
  EXPECT_EQ(count(), 1u);
  tables->write(erase);
  EXPECT_EQ(count(), 0u);
}

// Whoever has only read leaves the file to the next commit as it is: nothing of it is mapped.
TEST_F(PagedTablesTest, AnotherFileInItsPlaceIsNotWrittenTo) {
  const auto tables = Tables::open(*place_.fs, place_.index(), place_.lock());
  tables->write([](TableWriter& writer) { writer.put(Table::runs, bytes_of("a"), bytes_of("b")); });
  const auto reader = Tables::open(*place_.fs, place_.index(), place_.lock());
  std::filesystem::rename(place_.index(), place_.directory / "old");
  std::filesystem::create_directory(place_.index());
  test::expect_error(ErrorCode::io, "was replaced", [&] { reader->write([](TableWriter&) {}); });
  EXPECT_TRUE(std::filesystem::is_empty(place_.index()));
}

}  // namespace
}  // namespace ckp

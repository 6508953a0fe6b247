// A damaged data file, opened by somebody who did not look at the state block's stamp: the second
// line of defence. What the checks pass must be right, and nothing may crash.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iostream>
#include <random>

#include "damage/overlay_file_system.h"
#include "engine/index_samples.h"
#include "engine/sample_states.h"
#include "support/child_process.h"
#include "support/effort.h"
#include "support/expect_error.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::FileBytes;
using test::IndexFiles;
using test::IndexModel;

// An index with a history, so that it has free pages, pages of their own and trees of two levels.
IndexModel fill(Index& index) {
  IndexModel model;
  for (std::uint64_t round = 0; round < 6; ++round) {
    index.update([&](IndexUpdate& update) {
      const RunRecord run = test::sample_run(round % 4, "run " + std::to_string(round % 4));
      update.put_run(run);
      model.runs[run.id] = run;
      for (std::uint64_t i = 0; i < 30; ++i) {
        auto checkpoint = test::sample_checkpoint(run, 1000 + 100 * round + i, 10 * round + i);
        if (i == 7) checkpoint.tags["notes"] = std::string(9000, 'n');
        update.put_checkpoint(checkpoint);
        model.checkpoints[checkpoint.id] = checkpoint;
      }
      std::vector<ChunkRow> rows;
      for (std::uint32_t n = 0; n < 80; ++n) {
        rows.push_back(test::sample_chunk(100 * round + n, 1000 + 100 * round, n));
        model.chunks[rows.back().address] = rows.back();
      }
      update.put_chunks(rows);
    });
  }
  const auto gone = test::numbered_uuid(1005);
  index.update([&](IndexUpdate& update) { update.erase_checkpoint(gone); });
  model.checkpoints.erase(gone);
  return model;
}

enum class Outcome { refused, found, right, wrong, failed, crashed };

class IndexDamage : public testing::Test {
 protected:
  IndexDamage() : model_(fill(*place_.open())), sound_(test::read_bytes(place_.data())) {}

  // Opens, checks and reads everything, as long as nobody complains; or only reads, as questions
  // do.
  Outcome look(const FileBytes& bytes) {
    test::write_bytes(place_.data(), bytes);
    std::unique_ptr<Index> index;
    try {
      index = place_.open();
    } catch (const Error&) {
      return Outcome::refused;
    }
    try {
      if (checks_ && !index->check().empty()) return Outcome::found;
      return test::count_wrong(*index, model_) == 0 ? Outcome::right : Outcome::wrong;
    } catch (const Error&) {
      return checks_ ? Outcome::failed : Outcome::found;  // the checks passed, reading did not
    }
  }

  // Many looks in one child; a crash is told apart from a wrong answer by who was on.
  template <class Damage>
  void look_at(const std::string& what, int count, Damage damage) {
    std::map<Outcome, int> outcomes;
    int next = 0;
    while (next < count) {
      const int first = next;
      std::array<int, 2> ends{};
      ASSERT_EQ(::pipe(ends.data()), 0);
      test::ChildProcess child([&] {
        for (int i = first; i < count; ++i) {
          const auto outcome = static_cast<char>(look(damage(i)));
          if (::write(ends[1], &outcome, 1) != 1) return 1;
        }
        return 0;
      });
      ::close(ends[1]);
      char outcome = 0;
      while (::read(ends[0], &outcome, 1) == 1) {
        ++outcomes[static_cast<Outcome>(outcome)];
        EXPECT_TRUE(outcome < static_cast<char>(Outcome::wrong)) << what << " " << next;
        ++next;
      }
      ::close(ends[0]);
      const int status = child.wait();
      if (next == count && status == 0) break;
      ADD_FAILURE() << what << " " << next << " ended the process with " << status;
      ++outcomes[Outcome::crashed];
      ++next;
    }
    std::cout << what << ": " << count << " tried, " << outcomes[Outcome::refused]
              << " refused by open, " << outcomes[Outcome::found] << " found by "
              << (checks_ ? "check, " : "a question, ") << outcomes[Outcome::right]
              << " without effect, " << outcomes[Outcome::wrong] << " silently wrong, "
              << outcomes[Outcome::failed] << " failed after check, " << outcomes[Outcome::crashed]
              << " crashed\n";
  }

  // The page of the tables' names, by the newer header.
  std::uint64_t main_root() const {
    std::array<std::uint64_t, 2> transactions{}, roots{};
    for (std::size_t i = 0; i < 2; ++i) {
      std::memcpy(&transactions[i], sound_.data() + 4096 * i + 16 + 128, 8);
      std::memcpy(&roots[i], sound_.data() + 4096 * i + 16 + 72 + 40, 8);
    }
    return roots[transactions[0] < transactions[1] ? 1 : 0];
  }
  std::vector<std::uint64_t> random_bits(std::size_t count, unsigned seed) const {
    std::mt19937_64 random(test::seed(seed));
    std::vector<std::uint64_t> bits(count);
    for (auto& bit : bits) bit = random() % (8 * sound_.size());
    return bits;
  }
  FileBytes flipped(std::uint64_t bit) const {
    FileBytes bytes = sound_;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    return bytes;
  }

  IndexFiles place_;
  IndexModel model_;
  FileBytes sound_;
  bool checks_ = true;
};

TEST_F(IndexDamage, WithoutDamageAllIsRight) {
  EXPECT_EQ(look(sound_), Outcome::right);
  EXPECT_GT(sound_.size(), 30u * 4096) << "too small to be interesting";
}

TEST_F(IndexDamage, FlippedBits) {
  const auto bits = random_bits(800, 20263);
  look_at("flipped bit", static_cast<int>(bits.size()),
          [&](int i) { return flipped(bits[static_cast<std::size_t>(i)]); });
}

// Nobody has looked at the file as a whole: what a question reads tells, and what it does not find.
TEST_F(IndexDamage, FlippedBitsThatNobodyLooksFor) {
  checks_ = false;
  const auto bits = random_bits(test::effort(600), 20267);
  look_at("flipped bit, not looked for", static_cast<int>(bits.size()),
          [&](int i) { return flipped(bits[static_cast<std::size_t>(i)]); });
}

// The pages that say where the others are, headers included.
TEST_F(IndexDamage, BitsOfTheWayDownThatNobodyLooksFor) {
  checks_ = false;
  std::vector<std::uint64_t> bits;
  for (std::size_t page = 0; page < sound_.size(); page += 4096) {
    constexpr std::size_t flags_at = 10;
    constexpr std::byte leaf{2};
    const bool has_table_names = page / 4096 == main_root();
    if (sound_[page + flags_at] == leaf && !has_table_names) continue;
    for (std::size_t bit = 0; bit < 8 * 4096; ++bit) bits.push_back(8 * page + bit);
  }
  std::mt19937_64 random(test::seed(20268));
  std::shuffle(bits.begin(), bits.end(), random);
  bits.resize(std::min<std::size_t>(bits.size(), test::effort(600)));
  look_at("bit of the way down", static_cast<int>(bits.size()),
          [&](int i) { return flipped(bits[static_cast<std::size_t>(i)]); });
}

// The first bytes of the two headers decide about everything.
TEST_F(IndexDamage, EveryBitOfTheHeaders) {
  constexpr int header_bytes = 16 + 136;
  look_at("header bit", 2 * 8 * header_bytes, [&](int i) {
    FileBytes bytes = sound_;
    const int page = i / (8 * header_bytes), bit = i % (8 * header_bytes);
    bytes[static_cast<std::size_t>(page * 4096 + bit / 8)] ^=
        static_cast<std::byte>(1 << (bit % 8));
    return bytes;
  });
}

TEST_F(IndexDamage, CutFiles) {
  std::mt19937_64 random(test::seed(20264));
  std::vector<std::size_t> lengths;
  for (std::size_t length = 1; length < sound_.size(); length += 1 + random() % 4096) {
    lengths.push_back(length);
  }
  look_at("length", static_cast<int>(lengths.size()), [&](int i) {
    return FileBytes(sound_.begin(), sound_.begin() + static_cast<std::ptrdiff_t>(
                                                          lengths[static_cast<std::size_t>(i)]));
  });
}

TEST_F(IndexDamage, ZeroedPages) {
  look_at("zeroed page", static_cast<int>(sound_.size() / 4096), [&](int i) {
    FileBytes bytes = sound_;
    std::fill_n(bytes.begin() + i * 4096, 4096, std::byte{0});
    return bytes;
  });
}

TEST_F(IndexDamage, SwappedPages) {
  std::mt19937_64 random(test::seed(20265));
  const std::size_t pages = sound_.size() / 4096;
  std::vector<std::pair<std::size_t, std::size_t>> swaps(200);
  for (auto& [a, b] : swaps) a = random() % pages, b = random() % pages;
  look_at("swapped pages", static_cast<int>(swaps.size()), [&](int i) {
    const auto [a, b] = swaps[static_cast<std::size_t>(i)];
    FileBytes bytes = sound_;
    if (a != b) {
      const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(4096 * a);
      std::swap_ranges(first, first + 4096, bytes.begin() + static_cast<std::ptrdiff_t>(4096 * b));
    }
    return bytes;
  });
}

TEST_F(IndexDamage, AFileThatGetsShorterWhileItIsOpen) {
  test::write_bytes(place_.data(), sound_);
  const auto index = place_.open();
  std::filesystem::resize_file(place_.data(), sound_.size() - 4096);
  test::expect_error(ErrorCode::corrupt, "the file has only", [&] { (void)index->runs(); });
  std::filesystem::resize_file(place_.data(), 100);
  test::expect_error(ErrorCode::corrupt, "has only 100 bytes", [&] { (void)index->stamp(); });
  test::expect_error(ErrorCode::corrupt, "has only 100 bytes",
                     [&] { index->update([](IndexUpdate&) {}); });
  EXPECT_FALSE(index->check().empty());
}

// An old version of the whole file is sound in itself: only the stamp tells.
TEST_F(IndexDamage, TheStampTellsAnOldFileFromTheNewest) {
  test::write_bytes(place_.data(), sound_);
  const auto index = place_.open();
  const auto old = index->stamp();
  index->update([&](IndexUpdate& update) { update.erase_run(test::numbered_uuid(1)); });
  const auto newest = index->stamp();
  EXPECT_NE(old.transaction, newest.transaction);
  test::write_bytes(place_.data(), sound_);
  EXPECT_NE(place_.open()->stamp(), newest);
}

}  // namespace
}  // namespace ckp

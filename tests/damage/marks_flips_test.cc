// Promise P4, the file `marks`: every bit flipped and every length. One of its two copies is whole
// then, or an error says which file is damaged.
#include <gtest/gtest.h>

#include "damage/sample_store.h"
#include "retention/stored_policy.h"
#include "store/marks.h"
#include "support/expect_error.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::SampleStore;

class MarksFlips : public testing::Test {
 protected:
  MarksFlips() {
    Store store = Store::open(truth_.path());
    store.promote(first(), "production");
    store.promote(last(), "staging", {"a note", {{"port", "80"}}});
    store.add_metrics(last(), {{"auc", 0.5}});
    store.set_policy({.last = 3, .best = {{2, "auc", Better::higher}}});
    uuid_ = store.uuid();
    sound_ = test::read_bytes(path());
  }
  const CheckpointRecord& first() const { return truth_.runs().front().line.front().record; }
  const CheckpointRecord& last() const { return truth_.runs().back().line.back().record; }
  std::filesystem::path path() const { return truth_.path() / "marks"; }

  // With these bytes in the file.
  MarksFile look(const std::vector<std::byte>& bytes) const {
    test::write_bytes(path(), bytes);
    return look_at_marks(*posix_file_system(), StoreLayout{truth_.path()}, uuid_);
  }
  static bool is_right(const StoredPolicies& policies) {
    if (!policies.store || !policies.runs.empty()) return false;
    const KeepPolicy& keep = policies.store->keep;
    return keep.last == 3 && keep.best.size() == 1 && keep.best[0].count == 2 &&
           keep.best[0].metric == "auc" && keep.best[0].better == Better::higher;
  }
  bool is_right(const Marks& marks) const {
    const auto current = current_aliases(marks.aliases);
    return marks.aliases.size() == 2 && current.at("production").to == first().id &&
           current.at("staging").to == last().id && current.at("staging").note == "a note" &&
           current.at("staging").metadata == Value::Map{{"port", "80"}} &&
           marks.facts.count() == 1 && marks.policies.size() == 1 && is_right(policies_of(marks)) &&
           marks.facts.checkpoints.at(last().id).at(0).value == Value(0.5);
  }

  const test::TemporaryDirectory directory_{test::memory_directory()};
  const SampleStore truth_{directory_ / "store"};
  Uuid uuid_;
  std::vector<std::byte> sound_;
};

TEST_F(MarksFlips, AFlippedBitIsNamedAndChangesNoAnswer) {
  std::uint64_t flips = 0;
  for (std::uint64_t bit = 0; bit < 8 * sound_.size(); bit += test::stride, ++flips) {
    auto bytes = sound_;
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    const MarksFile file = look(bytes);
    EXPECT_NE(file.problem.find(path().string()), std::string::npos) << "bit " << bit;
    ASSERT_TRUE(file.marks && is_right(*file.marks)) << "bit " << bit << ": " << file.problem;
  }
  test::figure("P4 bit flips, marks", std::to_string(flips) + " flips, 0 silent, 0 wrong answers");
}

TEST_F(MarksFlips, ACutIsNamedAndChangesNoAnswer) {
  for (std::size_t size = 0; size < sound_.size(); ++size) {
    const MarksFile file =
        look({sound_.begin(), sound_.begin() + static_cast<std::ptrdiff_t>(size)});
    EXPECT_NE(file.problem.find(path().string()), std::string::npos) << size << " bytes";
    EXPECT_EQ(file.marks.has_value(), size >= sound_.size() / 2) << size << " bytes";
    EXPECT_TRUE(!file.marks || is_right(*file.marks)) << size << " bytes";
  }
}

TEST_F(MarksFlips, DamageInBothCopiesIsAnErrorThatNamesTheFile) {
  const std::size_t half = sound_.size() / 2;
  for (std::size_t at = 0; at < half; ++at) {
    auto bytes = sound_;
    bytes[at] ^= std::byte{0x10};
    bytes[half + (at * 7) % half] ^= std::byte{0x10};
    const MarksFile file = look(bytes);
    EXPECT_FALSE(file.marks) << "byte " << at;
    EXPECT_NE(file.problem.find(path().string()), std::string::npos) << "byte " << at;
  }
  const Store store = Store::open(truth_.path());
  test::expect_error(ErrorCode::corrupt, path().string(),
                     [&] { store.find(parse_address("@production")); });
}

// Blocks of an older version of the file in the place of either copy.
TEST_F(MarksFlips, AnOlderCopyIsNamedAndTheNewerCounts) {
  std::vector<std::byte> older = sound_;
  older.resize(older.size() / 2);
  Store::open(truth_.path()).promote(last(), "production");
  std::vector<std::byte> newer = test::read_bytes(path());
  newer.resize(newer.size() / 2);
  older.resize(newer.size());
  for (const bool older_first : {false, true}) {
    auto mixed = older_first ? older : newer;
    const auto& second = older_first ? newer : older;
    mixed.insert(mixed.end(), second.begin(), second.end());
    const MarksFile file = look(mixed);
    EXPECT_NE(file.problem.find("not the same"), std::string::npos) << file.problem;
    ASSERT_TRUE(file.marks);
    EXPECT_EQ(file.marks->aliases.size(), 3u);
  }
}

}  // namespace
}  // namespace ckp

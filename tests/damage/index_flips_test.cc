// Promise P4, the index: bits of LMDB's data file. A flip that some program wrote changes the
// file's time, which the state block's stamp tells. Bits that rot on the medium do not: here the
// stamp is made to agree with the damaged file. Neither may ever end the process, nor decide what
// is loaded, resumed or deleted.
#include <gtest/gtest.h>

#include <random>

#include "ckp/format/store_identity.h"
#include "damage/overlay_file_system.h"
#include "damage/sample_store.h"
#include "engine/sample_states.h"
#include "fuzz/memory_file_system.h"
#include "index/data_file.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/in_children.h"
#include "support/memory_directory.h"
#include "support/seed.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::Answers;
using test::FileBytes;
using test::SampleStore;

enum Verdict { right, reported, lied };

class IndexFlips : public testing::Test {
 protected:
  std::filesystem::path data() const { return store_.path() / "index" / "data.mdb"; }

  static FileBytes flipped(FileBytes bytes, std::uint64_t bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    return bytes;
  }

  // As if the medium had changed its mind: the stamp is that of the file as it is now.
  void rot(const FileBytes& bytes) const {
    std::filesystem::create_directories(data().parent_path());
    test::write_bytes(data(), bytes);
    const auto lock = store_.path() / "lock";
    auto block = *format::decode_state_block(sound_lock_);
    const auto status = *posix_file_system()->status(data());
    block.stamp = {status.device, status.inode, status.size, status.changed_ns,
                   block.stamp.transaction};
    test::write_bytes(lock, format::encode_state_block(block));
  }

  // Cut, with a zeroed, misplaced or scribbled page, or with flips all over.
  FileBytes damaged(std::mt19937_64& random, int way) const {
    FileBytes bytes = sound_;
    const std::size_t page = random() % (bytes.size() / 4096) * 4096;
    const std::size_t other = random() % (bytes.size() / 4096) * 4096;
    const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(page);
    switch (way % 5) {
      case 0:
        bytes.resize(random() % bytes.size());
        break;
      case 1:
        std::fill_n(at, 4096, std::byte{0});
        break;
      case 2:
        std::copy_n(sound_.begin() + static_cast<std::ptrdiff_t>(other), 4096, at);
        break;
      case 3:
        for (int n = 0; n < 20; ++n) {
          bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        }
        break;
      default:
        for (int n = 0; n < 64; ++n) {
          bytes[page + random() % 4096] = static_cast<std::byte>(random());
        }
    }
    return bytes;
  }

  // What the page walk before LMDB says.
  static bool is_refused(const FileBytes& bytes) {
    return !fuzz::takes([&] { check_data_file(fuzz::MemoryFile(bytes), PageCheck::all); });
  }

  int ask(const FileBytes& bytes) const {
    rot(bytes);
    const Answers answers = test::look(store_, posix_file_system());
    for (const auto& lie : answers.wrong) std::cerr << lie << "\n";
    if (!answers.wrong.empty() || !answers.refused.empty()) return lied;
    return answers.report && answers.report->clean() ? right : reported;
  }

  // In forked children; what happened by outcome, none of which may be a lie.
  std::map<int, int> ask_all(const std::vector<std::uint64_t>& bits) const {
    std::map<int, int> outcomes;
    test::in_children(
        static_cast<int>(bits.size()),
        [&](int i) { return ask(flipped(sound_, bits[static_cast<std::size_t>(i)])); },
        [&](int i, int outcome) {
          EXPECT_TRUE(outcome == right || outcome == reported)
              << "bit " << bits[static_cast<std::size_t>(i)] << ": "
              << (outcome < 0 ? "ended the process with " : "lied ") << outcome;
          ++outcomes[outcome];
        });
    return outcomes;
  }

  const test::TemporaryDirectory directory_{test::memory_directory()};
  const SampleStore store_{directory_ / "store"};
  const FileBytes sound_ = test::read_bytes(data());
  const FileBytes sound_lock_ = test::read_bytes(store_.path() / "lock");
};

std::vector<std::uint64_t> sample(std::vector<std::uint64_t> bits, std::size_t count,
                                  std::mt19937_64& random) {
  std::shuffle(bits.begin(), bits.end(), random);
  if (bits.size() > count) bits.resize(count);
  return bits;
}

// Every bit is seen by the page walk, which reads and never maps. LMDB itself gets to see those
// that the walk lets pass: payloads, whose rows have checksums, and space that is not in use.
TEST_F(IndexFlips, RottenBitsAreNeverBelieved) {
  ASSERT_EQ(ask(sound_), right);
  std::vector<std::uint64_t> refused, passed;
  for (std::uint64_t bit = 0; bit < 8 * sound_.size(); bit += test::stride) {
    (is_refused(flipped(sound_, bit)) ? refused : passed).push_back(bit);
  }
  std::mt19937_64 random(test::seed(4711));
  auto outcomes = ask_all(sample(passed, test::effort(1500), random));
  for (const auto& [outcome, count] : ask_all(sample(refused, test::effort(300), random))) {
    outcomes[outcome] += count;
  }
  test::figure("P4 bit flips, index",
               std::to_string(refused.size() + passed.size()) + " flips through the page walk, " +
                   std::to_string(refused.size()) + " refused; " +
                   std::to_string(outcomes[right] + outcomes[reported]) +
                   " of both kinds asked with an agreeing stamp, 0 silent, 0 crashes");
}

TEST_F(IndexFlips, AnythingElseInItsPlace) {
  const std::uint64_t seed = test::seed(4712);
  const std::uint64_t rounds = test::effort(500);
  std::map<int, int> outcomes;
  test::in_children(
      static_cast<int>(rounds),
      [&](int i) {
        std::mt19937_64 own(seed + static_cast<unsigned>(i));
        return ask(damaged(own, i));
      },
      [&](int i, int outcome) {
        EXPECT_TRUE(outcome == right || outcome == reported) << "round " << i << ": " << outcome;
        ++outcomes[outcome];
      });
  test::figure("P4 random damage, index",
               std::to_string(rounds) + " files with an agreeing stamp, 0 silent, 0 crashes");
}

// What any program does to the file is noticed before the file is opened.
TEST_F(IndexFlips, AWriteChangesTheStamp) {
  test::write_bytes(data(), flipped(sound_, 8 * 4096 * 3 + 100));
  const Answers answers = test::look(store_, posix_file_system());
  EXPECT_TRUE(answers.wrong.empty()) << answers.wrong.front();
  EXPECT_TRUE(answers.refused.empty()) << answers.refused.front();
  ASSERT_TRUE(answers.report);
  EXPECT_TRUE(answers.report->clean()) << "made anew before it was asked";
}

}  // namespace
}  // namespace ckp

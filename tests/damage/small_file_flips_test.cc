// Promise P4, the store's other files: every bit of STORE, of the lock file's state block and of
// the journals, flipped through the seam.
#include <gtest/gtest.h>

#include "damage/overlay_file_system.h"
#include "damage/sample_store.h"
#include "engine/sample_states.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::Answers;
using test::SampleStore;

class SmallFileFlips : public testing::Test {
 protected:
  // Flips each bit of `path` in turn; `judge` gets the bit and the answers. Returns how many.
  template <class Judge>
  std::uint64_t flip_all(const std::filesystem::path& path, Judge judge) {
    for (const auto& file : store_.files()) fs_->replace(file, test::read_bytes(file));
    const auto sound = test::read_bytes(path);
    for (std::uint64_t bit = 0; bit < 8 * sound.size(); bit += test::stride) {
      auto bytes = sound;
      bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      fs_->replace(path, std::move(bytes));
      test::LookOptions options;
      options.rebuild = bit % 39 == 0;  // from the damaged file: the worst that can follow
      options.resume = bit % 13 == 0;
      if (!options.resume) options.only = {store_.runs().front().line.front().record.id};
      const Answers answers = test::look(store_, fs_, options);
      EXPECT_TRUE(answers.wrong.empty()) << path << " bit " << bit << ": " << answers.wrong.front();
      judge(bit, answers);
      if (HasFailure()) break;
    }
    fs_->restore();
    return 8 * sound.size() / test::stride;
  }

  const test::TemporaryDirectory directory_{test::memory_directory()};
  const SampleStore store_{directory_ / "store"};
  const std::shared_ptr<test::OverlayFileSystem> fs_ = std::make_shared<test::OverlayFileSystem>();
};

TEST_F(SmallFileFlips, StoreIsRefusedByName) {
  const auto flips = flip_all(store_.path() / "STORE", [&](auto bit, const Answers& answers) {
    ASSERT_EQ(answers.refused.size(), 1u) << "bit " << bit;
    EXPECT_NE(answers.refused[0].find("STORE"), std::string::npos) << answers.refused[0];
  });
  test::figure("P4 bit flips, STORE", std::to_string(flips) + " flips, 0 silent, 0 crashes");
}

// It only says whether the index can be believed: a wrong one costs time, nothing else.
TEST_F(SmallFileFlips, TheStateBlockCostsNothingButTime) {
  const auto flips = flip_all(store_.path() / "lock", [&](auto bit, const Answers& all) {
    EXPECT_TRUE(all.refused.empty()) << "bit " << bit << ": " << all.refused.front();
    ASSERT_TRUE(all.report);
    EXPECT_TRUE(all.report->findings.empty())
        << "bit " << bit << ": " << all.report->findings.front().message;
  });
  test::figure("P4 bit flips, state block",
               std::to_string(flips) + " flips, 0 silent, 0 crashes, 0 wrong answers");
}

TEST_F(SmallFileFlips, AJournalIsReportedAndNoCheckpointIsLost) {
  std::uint64_t flips = 0;
  for (const auto& path : store_.journals()) {
    flips += flip_all(path, [&](auto bit, const Answers& answers) {
      EXPECT_TRUE(answers.refused.empty()) << "bit " << bit << ": " << answers.refused.front();
      EXPECT_TRUE(answers.finds(path) || answers.notes(path)) << path << " bit " << bit;
    });
  }
  test::figure("P4 bit flips, journals",
               std::to_string(flips) + " flips, 0 silent, 0 crashes, every resume right");
}

}  // namespace
}  // namespace ckp

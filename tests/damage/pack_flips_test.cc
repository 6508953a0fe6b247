// Promise P4, packs: every bit of every pack, flipped through the seam.
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

// Where a pack's pieces are, to know what verify should name.
struct Piece {
  std::uint64_t begin = 0, end = 0;
  std::int64_t chunk = -1;
};

class PackFlips : public testing::TestWithParam<int> {
 protected:
  // Which chunk's record a byte belongs to, or -1.
  static std::vector<Piece> chunks_of(const std::vector<std::byte>& bytes) {
    const test::MemorySource source(bytes);
    std::vector<Piece> pieces;
    for (const auto& entry : format::read_directory(source).chunks) {
      pieces.push_back({entry.offset, entry.offset + format::RecordHeader::size + entry.stored_size,
                        entry.number});
    }
    return pieces;
  }

  const test::TemporaryDirectory directory_{test::memory_directory()};
  // A patch, a difference, or a derived tensor, that the other packs do not have.
  const test::MoreSaves more_ = GetParam() == 3   ? test::MoreSaves::patch
                                : GetParam() == 4 ? test::MoreSaves::difference
                                : GetParam() == 5 ? test::MoreSaves::derived
                                                  : test::MoreSaves::none;
  const SampleStore store_{directory_ / "store", 0, more_};
};

std::string name_chunk(const Answers& answers, std::int64_t chunk) {
  for (const Finding& finding : answers.report->findings) {
    if (finding.chunk == chunk && !finding.tensor.empty()) return "";
  }
  return "no finding names chunk " + std::to_string(chunk) + " and a tensor";
}

// What verify must say about a flip in `pack`.
std::string missing_in_report(const Answers& answers, const std::filesystem::path& pack,
                              const test::SavedCheckpoint& saved, std::int64_t chunk) {
  if (!answers.report) return "no report";
  if (!answers.finds(pack)) return "no finding names the file";
  const bool named = std::ranges::any_of(answers.report->findings, [&](const Finding& finding) {
    return finding.run == saved.record.run_name && finding.checkpoint == saved.record.id.hex() &&
           finding.epoch == saved.record.epoch;
  });
  if (!named) return "no finding names the checkpoint";
  return chunk < 0 ? "" : name_chunk(answers, chunk);
}

TEST_P(PackFlips, EveryBitIsFoundAndNeverData) {
  const auto path = store_.packs()[static_cast<std::size_t>(std::min(GetParam(), 3))];
  const auto* saved = store_.saved_in(path);
  const auto sound = test::read_bytes(path);
  const auto chunks = chunks_of(sound);
  const auto fs = std::make_shared<test::OverlayFileSystem>();
  for (const auto& file : store_.files()) fs->replace(file, test::read_bytes(file));
  StoreOptions store_options;
  store_options.file_system = fs;
  Store store = Store::open(store_.path(), store_options);
  // Loading reads the bytes, and verify all of them; who else refers to them, and who is listed and
  // resumed, follows from that, and is asked less often.
  test::LookOptions focus;
  focus.lists = focus.resume = false;
  focus.only = {saved->record.id};
  std::uint64_t flips = 0, refused = 0;
  const std::uint64_t step =
      more_ != test::MoreSaves::none ? 7 * test::stride : test::stride;  // one in each byte
  for (std::uint64_t bit = 0; bit < 8 * sound.size(); bit += step, ++flips) {
    auto bytes = sound;
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    fs->replace(path, std::move(bytes));
    const Answers answers =
        bit % 17 == 0 ? test::look(store_, fs) : test::look(store_, *fs, store, focus);
    const auto hit = std::ranges::find_if(
        chunks, [&](const Piece& piece) { return bit / 8 >= piece.begin && bit / 8 < piece.end; });
    const auto problem =
        missing_in_report(answers, path, *saved, hit == chunks.end() ? -1 : hit->chunk);
    ASSERT_TRUE(answers.wrong.empty()) << "bit " << bit << ": " << answers.wrong.front();
    ASSERT_EQ(problem, "") << "bit " << bit;
    refused += answers.refused.empty() ? 0 : 1;
  }
  test::figure("P4 bit flips, pack " + std::to_string(GetParam()),
               std::to_string(flips) + " flips, 0 silent, 0 crashes, " + std::to_string(refused) +
                   " refused something, all found by verify");
}

INSTANTIATE_TEST_SUITE_P(Packs, PackFlips, testing::Range(0, 6));

}  // namespace
}  // namespace ckp

// Promise P4, more than one bit: random flips, overwritten, zeroed and misplaced ranges in one or
// two files at a time.
#include <gtest/gtest.h>

#include <random>

#include "damage/overlay_file_system.h"
#include "damage/sample_store.h"
#include "engine/sample_states.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/seed.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::Answers;
using test::SampleStore;
using Random = std::mt19937_64;

struct Range {
  std::size_t begin = 0, size = 0;
};

Range random_range(Random& random, std::size_t size, std::size_t longest) {
  const std::size_t begin = random() % size;
  return {begin, std::min<std::size_t>(1 + random() % longest, size - begin)};
}

void flip_some(Random& random, test::FileBytes& bytes) {
  for (auto count = 2 + random() % 30; count > 0; --count) {
    bytes[random() % bytes.size()] ^= static_cast<std::byte>(1u << (random() % 8));
  }
}

void overwrite(Random& random, test::FileBytes& bytes) {
  const Range range = random_range(random, bytes.size(), 600);
  for (std::size_t i = 0; i < range.size; ++i) {
    bytes[range.begin + i] = static_cast<std::byte>(random());
  }
}

// A sector that was never written, or a bad one that reads as ones.
void blank_sector(Random& random, test::FileBytes& bytes) {
  const std::size_t begin = random() % bytes.size() / 512 * 512;
  const std::size_t end = std::min(begin + 512, bytes.size());
  const auto value = random() % 2 == 0 ? std::byte{0} : std::byte{0xff};
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
            bytes.begin() + static_cast<std::ptrdiff_t>(end), value);
}

// What belongs elsewhere in the file.
void misplace(Random& random, test::FileBytes& bytes) {
  const Range from = random_range(random, bytes.size(), 512);
  const std::size_t to = random() % (bytes.size() - from.size + 1);
  const test::FileBytes copy(bytes.begin() + static_cast<std::ptrdiff_t>(from.begin),
                             bytes.begin() + static_cast<std::ptrdiff_t>(from.begin + from.size));
  std::copy(copy.begin(), copy.end(), bytes.begin() + static_cast<std::ptrdiff_t>(to));
}

// Cut out, so that everything behind moves.
void cut_out(Random& random, test::FileBytes& bytes) {
  const Range range = random_range(random, bytes.size(), 64);
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(range.begin);
  bytes.erase(begin, begin + static_cast<std::ptrdiff_t>(range.size));
}

void damage(Random& random, test::FileBytes& bytes) {
  constexpr std::array ways = {flip_some, overwrite, blank_sector, misplace, cut_out};
  ways[random() % ways.size()](random, bytes);
}

class RandomDamage : public testing::TestWithParam<int> {
 protected:
  bool is_journal(const std::filesystem::path& path) const {
    return path.filename().string().starts_with("journal-");
  }

  // Whether something said that this file is damaged. A wrong state block only costs time.
  bool is_told(const std::filesystem::path& path, const Answers& answers) const {
    if (path.filename() == "lock") return true;
    for (const std::string& message : answers.refused) {
      if (message.find(path.string()) != std::string::npos) return true;
    }
    return answers.finds(path) || answers.notes(path);
  }

  const test::TemporaryDirectory directory_{test::memory_directory()};
  const SampleStore store_{directory_ / "store", 0,
                           GetParam() == 3   ? test::MoreSaves::patch
                           : GetParam() == 4 ? test::MoreSaves::difference
                           : GetParam() == 5 ? test::MoreSaves::derived
                                             : test::MoreSaves::none};
};

TEST_P(RandomDamage, IsNeverSilent) {
  Random random(test::seed(20261123) + static_cast<unsigned>(GetParam()));
  const auto fs = std::make_shared<test::OverlayFileSystem>();
  const auto files = store_.files();
  std::map<std::filesystem::path, test::FileBytes> sound;
  for (const auto& path : files) {
    sound[path] = test::read_bytes(path);
    fs->replace(path, sound[path]);
  }
  StoreOptions healthy;
  healthy.file_system = fs;
  const std::uint64_t rounds = test::effort(5000) / test::stride;
  std::uint64_t told = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    std::set<std::filesystem::path> hit;
    for (auto count = 1 + random() % 2; count > 0; --count) {
      const auto& path = files[random() % files.size()];
      auto bytes = sound[path];
      damage(random, bytes);
      if (bytes == sound[path]) continue;
      fs->replace(path, std::move(bytes));
      hit.insert(path);
    }
    test::LookOptions options;
    options.rebuild = round % 16 == 0;
    options.resume = round % 8 == 0;
    const Answers answers = test::look(store_, fs, options);
    ASSERT_TRUE(answers.wrong.empty()) << "round " << round << ": " << answers.wrong.front();
    for (const auto& path : hit) {
      ASSERT_TRUE(answers.has_no_store() || is_told(path, answers))
          << "round " << round << ": " << path;
      ++told;
    }
    for (const auto& path : hit) fs->replace(path, sound[path]);
    // The index was made, or is made next, from what was damaged.
    if (options.rebuild || hit.contains(store_.path() / "lock")) {
      Store::open(store_.path(), healthy).rebuild_index();
    }
  }
  test::figure("P4 random damage, part " + std::to_string(GetParam()),
               std::to_string(rounds) + " rounds, " + std::to_string(told) +
                   " damaged files, 0 silent, 0 crashes");
}

INSTANTIATE_TEST_SUITE_P(Parts, RandomDamage, testing::Range(0, 6));

}  // namespace
}  // namespace ckp

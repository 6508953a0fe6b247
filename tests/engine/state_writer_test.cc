#include "save/state_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "engine/sample_states.h"
#include "support/expect_error.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::view_of;

struct Pack {
  WrittenState written;
  std::vector<std::byte> bytes;
};

Pack write(const StateDict& state, ChunkFinder* finder = nullptr, EncodeOptions options = {}) {
  Pack pack;
  format::PackHeader header;
  header.uuid.bytes.fill(std::byte{7});
  header.may_use.refuse = format::feature::external_references;
  format::PackWriter writer(
      [&](std::span<const std::byte> bytes) {
        pack.bytes.insert(pack.bytes.end(), bytes.begin(), bytes.end());
      },
      header);
  pack.written = write_state(state, writer, finder, options);
  writer.finish({&pack.written.manifest, 1});
  return pack;
}

StateDict one(const std::vector<std::byte>& memory, DType dtype = DType::uint8) {
  StateDict state;
  const auto count = static_cast<std::int64_t>(memory.size() / size_of(dtype));
  state.add("w", view_of(memory, dtype, {count}, {1}));
  return state;
}

// Proposes what the test tells it to.
class FakeFinder final : public ChunkFinder {
 public:
  std::vector<std::vector<format::ChunkReference>> find(
      std::span<const Digest> digests, std::span<const std::uint32_t> sizes) override {
    ++calls;
    std::vector<std::vector<format::ChunkReference>> answers;
    for (std::size_t i = 0; i < digests.size(); ++i) {
      answers.emplace_back();
      for (const auto& [address, bytes] : chunks) {
        const auto size = lie_about_size ? sizes[i] : static_cast<std::uint32_t>(bytes.size());
        answers.back().push_back({address, digests[i], size});
      }
    }
    return answers;
  }
  bool read(const format::ChunkReference& reference, std::span<std::byte> out) override {
    const auto& bytes = chunks.at(reference.address);
    if (unreadable || bytes.size() != out.size()) return false;
    std::copy(bytes.begin(), bytes.end(), out.begin());
    return true;
  }
  bool is_live(const format::ChunkReference& unchanged) override {
    return chunks.contains(unchanged.address);
  }
  void read_unchanged(const format::ChunkReference& unchanged, std::span<std::byte> out) override {
    if (!read(unchanged, out)) throw Error(ErrorCode::corrupt, "damaged");
  }
  std::map<format::ChunkAddress, std::vector<std::byte>> chunks;
  bool unreadable = false;
  bool lie_about_size = false;
  int calls = 0;
};

format::ChunkAddress address(int pack, std::uint32_t number) {
  format::ChunkAddress result;
  result.pack.bytes.fill(static_cast<std::byte>(pack));
  result.number = number;
  return result;
}

TEST(StateWriter, TheSameBytesWhateverTheNumberOfThreads) {
  std::vector<std::vector<std::byte>> memory;
  StateDict state;
  for (std::size_t i = 0; i < 60; ++i) memory.push_back(test::random_bytes(1 + i * i * 97, i));
  for (std::size_t i = 0; i < memory.size(); ++i) {
    const auto size = static_cast<std::int64_t>(memory[i].size());
    state.add("t" + std::to_string(i), view_of(memory[i], DType::uint8, {size}, {1}));
  }
  EncodeOptions options;
  options.chunk_size = 65536;
  options.threads = 1;
  const auto expected = write(state, nullptr, options);
  for (const unsigned threads : {2u, 7u}) {
    options.threads = threads;
    EXPECT_TRUE(write(state, nullptr, options).bytes == expected.bytes) << threads;
  }
}

TEST(StateWriter, EqualChunksOfAStateAreStoredOnce) {
  auto memory = test::random_bytes(8 * 4096, 1);
  for (const std::size_t at : {2u, 5u}) {
    std::copy_n(memory.begin(), 4096, memory.begin() + static_cast<std::ptrdiff_t>(at * 4096));
  }
  EncodeOptions options;
  options.chunk_size = 4096;
  const auto pack = write(one(memory), nullptr, options);
  EXPECT_EQ(pack.written.chunks_written, 6u);
  EXPECT_EQ(pack.written.chunks_shared, 2u);
  EXPECT_EQ(pack.written.bytes_shared, 2u * 4096);
  EXPECT_EQ(pack.written.manifest.references.size(), 6u);
  const auto& pieces = pack.written.manifest.storages[0].pieces;
  EXPECT_EQ(pieces[5].reference, pieces[0].reference);
  EXPECT_NE(pieces[5].reference, pieces[1].reference);
}

// In the build with content ids of 8 bits almost every one of these collides.
TEST(StateWriter, ChunksOfOtherBytesAreNeverTakenForEach) {
  const auto memory = test::random_bytes(1500 * 4096, 2);
  EncodeOptions options;
  options.chunk_size = 4096;
  const auto pack = write(one(memory), nullptr, options);
  EXPECT_EQ(pack.written.chunks_written, 1500u);
  EXPECT_EQ(pack.written.chunks_shared, 0u);
}

TEST(StateWriter, SharesWhatTheFinderHas) {
  const auto memory = test::random_bytes(3 * 4096, 3);
  FakeFinder finder;
  finder.chunks[address(9, 4)].assign(memory.begin() + 4096, memory.begin() + 8192);
  EncodeOptions options;
  options.chunk_size = 4096;
  const auto pack = write(one(memory), &finder, options);
  EXPECT_EQ(finder.calls, 1);
  EXPECT_EQ(pack.written.chunks_written, 2u);
  EXPECT_EQ(pack.written.chunks_shared, 1u);
  const auto& references = pack.written.manifest.references;
  ASSERT_EQ(references.size(), 3u);
  EXPECT_TRUE(references[0].address.pack.is_nil());
  EXPECT_EQ(references[1].address, address(9, 4));
  EXPECT_EQ(references[1].raw_digest, digest_of(std::span(memory).subspan(4096, 4096)));
  EXPECT_EQ(references[2].address.number, 1u);
}

TEST(StateWriter, ComparesBytesBeforeItShares) {
  const auto memory = test::random_bytes(4096, 4);
  FakeFinder finder;
  finder.chunks[address(1, 0)] = memory;
  finder.chunks[address(1, 0)].back() ^= std::byte{1};
  finder.chunks[address(1, 1)] = test::random_bytes(4095, 4);
  EXPECT_EQ(write(one(memory), &finder).written.chunks_shared, 0u);
  finder.lie_about_size = true;
  EXPECT_EQ(write(one(memory), &finder).written.chunks_shared, 0u);
  finder.chunks[address(2, 0)] = memory;  // a later candidate that is right
  const auto pack = write(one(memory), &finder);
  EXPECT_EQ(pack.written.chunks_shared, 1u);
  EXPECT_EQ(pack.written.manifest.references[0].address, address(2, 0));
  finder.unreadable = true;
  EXPECT_EQ(write(one(memory), &finder).written.chunks_shared, 0u);
}

TEST(StateWriter, RefusesAChunkSizeThatIsNone) {
  const auto memory = test::random_bytes(10, 5);
  for (const std::uint32_t size : {0u, 1u, 4095u, 5000u, (64u << 20) + 4096}) {
    EncodeOptions options;
    options.chunk_size = size;
    test::expect_error(ErrorCode::invalid_argument, "multiple of 4096 between 4096 and 67108864",
                       [&] { write(one(memory), nullptr, options); });
  }
}

bool is_nonfinite(const StateDict& state) {
  EncodeOptions options;
  options.chunk_size = 4096;
  return write(state, nullptr, options).written.nonfinite;
}

TEST(StateWriter, FindsNonfiniteElementsWhereverTheyAre) {
  for (const std::size_t count : {1u, 100u, 20'000u, 30'000u}) {
    std::vector<float> values(count, 1.0f);
    std::vector<std::byte> memory(count * 4);
    for (const std::size_t at : {std::size_t{0}, count / 2, count - 1}) {
      for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -HUGE_VALF}) {
        std::memcpy(memory.data(), values.data(), memory.size());
        EXPECT_FALSE(is_nonfinite(one(memory, DType::float32)));
        std::memcpy(memory.data() + at * 4, &bad, 4);
        EXPECT_TRUE(is_nonfinite(one(memory, DType::float32))) << count << " " << at;
        EXPECT_FALSE(is_nonfinite(one(memory, DType::int32)));
      }
    }
  }
}

TEST(StateWriter, NonfiniteChecksOnlyTouchedElements) {
  std::vector<float> values(40, 1.0f);
  values[1] = NAN;
  values[20] = INFINITY;
  std::vector<std::byte> memory(values.size() * 4);
  std::memcpy(memory.data(), values.data(), memory.size());
  const auto check = [&](std::vector<std::int64_t> shape, std::vector<std::int64_t> strides,
                         std::int64_t offset = 0, bool wanted = true) {
    StateDict state;
    auto view = view_of(memory, DType::float32, std::move(shape), std::move(strides), offset);
    view.check_finite = wanted;
    state.add("v", view);
    return is_nonfinite(state);
  };
  EXPECT_FALSE(check({10}, {2}));  // 0, 2, ... 18
  EXPECT_TRUE(check({11}, {2}));   // and 20
  EXPECT_TRUE(check({10}, {2}, 1));
  EXPECT_FALSE(check({3, 5}, {6, 1}, 2));  // to 18
  EXPECT_TRUE(check({3, 5}, {7, 1}, 2));   // 16 to 20
  EXPECT_FALSE(check({1000, 18}, {0, 1}, 2));
  EXPECT_TRUE(check({1000, 19}, {0, 1}, 2));
  EXPECT_FALSE(check({19}, {1}, 21));
  EXPECT_FALSE(check({}, {}, 0));
  EXPECT_TRUE(check({}, {}, 1));
  EXPECT_FALSE(check({}, {}, 1, false));
  EXPECT_FALSE(check({11}, {2}, 0, false));
}

TEST(StateWriter, ViewsOfOneStorageAreCheckedByTheirOwnDtype) {
  std::vector<std::byte> memory(16, std::byte{0xff});  // NaN as float32
  StateDict state;
  state.add("as_int", view_of(memory, DType::int32, {4}, {1}));
  EXPECT_FALSE(is_nonfinite(state));
  auto unchecked = view_of(memory, DType::float32, {4}, {1});
  unchecked.check_finite = false;
  state.add("unchecked", unchecked);
  EXPECT_FALSE(is_nonfinite(state));
  state.add("as_float", view_of(memory, DType::float32, {1}, {1}, 3));
  EXPECT_TRUE(is_nonfinite(state));
}

// Promise P17.
TEST(StateWriter, NeverMuchLargerThanRaw) {
  const std::uint64_t seed = test::seed(17);
  for (const auto& [tensors, size] :
       std::initializer_list<std::pair<std::size_t, std::size_t>>{{0, 0},
                                                                  {1, 0},
                                                                  {1, 1},
                                                                  {1, 3'000'000},
                                                                  {1000, 4},
                                                                  {300, 65'535},
                                                                  {40, 65'536},
                                                                  {3, 1'048'577},
                                                                  {500, 33}}) {
    std::vector<std::vector<std::byte>> memory;
    StateDict state;
    std::uint64_t allowed = 4096;
    for (std::size_t i = 0; i < tensors; ++i) memory.push_back(test::random_bytes(size, seed + i));
    for (std::size_t i = 0; i < tensors; ++i) {
      const std::string name = "optimizer/layer" + std::to_string(i) + ".weight/step";
      state.add(name, view_of(memory[i], DType::uint8, {static_cast<std::int64_t>(size)}, {1}));
      allowed += size + size / 1000 + 64 + name.size();
    }
    EXPECT_LE(write(state).bytes.size(), allowed) << tensors << " tensors of " << size;
  }
}

}  // namespace
}  // namespace ckp

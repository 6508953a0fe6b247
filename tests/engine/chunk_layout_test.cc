#include "save/chunk_layout.h"

#include <gtest/gtest.h>

#include "engine/sample_states.h"

namespace ckp {
namespace {

using test::view_of;

constexpr std::uint32_t chunk_size = 1 << 20;

const format::TensorEntry& entry(const ChunkLayout& layout, std::string_view name) {
  for (const auto& tensor : layout.tensors) {
    if (tensor.name == name) return tensor;
  }
  throw std::runtime_error(std::string(name));
}

// The bytes of a storage, put together from the chunks.
std::vector<std::byte> storage_bytes(const ChunkLayout& layout, std::size_t storage) {
  std::vector<std::byte> out, scratch;
  for (const auto& piece : layout.storages[storage].pieces) {
    const auto raw = chunk_bytes(layout, layout.chunks[piece.reference], scratch);
    const auto bytes = raw.subspan(piece.offset, piece.length);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

TEST(ChunkLayout, NothingFromNothing) {
  const auto layout = plan_chunks(StateDict(), chunk_size);
  EXPECT_TRUE(layout.chunks.empty());
  EXPECT_TRUE(layout.storages.empty());
}

TEST(ChunkLayout, AViewStoresOnlyWhatItTouches) {
  const auto storage = test::random_bytes(4000, 1);
  StateDict state;
  state.add("row", view_of(storage, DType::float32, {10}, {1}, 301));
  const auto layout = plan_chunks(state, chunk_size);
  ASSERT_EQ(layout.storages.size(), 1u);
  EXPECT_EQ(layout.storages[0].size, 40u);
  EXPECT_EQ(entry(layout, "row").storage_offset, 0);
  EXPECT_EQ(layout.spans[0].data, storage.data() + 1204);
}

TEST(ChunkLayout, TiedAndOverlappingViewsShareOneStorage) {
  const auto storage = test::random_bytes(4000, 2);
  StateDict state;
  state.add("decoder", view_of(storage, DType::float32, {20, 10}, {10, 1}));
  state.add("encoder", view_of(storage, DType::float32, {20, 10}, {10, 1}));
  state.add("overlap", view_of(storage, DType::float32, {100}, {1}, 150));
  state.add("touching", view_of(storage, DType::float32, {5}, {1}, 250));
  state.add("apart", view_of(storage, DType::float32, {5}, {1}, 300));
  const auto layout = plan_chunks(state, chunk_size);
  ASSERT_EQ(layout.storages.size(), 2u);
  const auto shared = entry(layout, "decoder").storage;
  EXPECT_EQ(layout.storages[shared].size, 255u * 4);
  for (const auto* name : {"encoder", "overlap", "touching"}) {
    EXPECT_EQ(entry(layout, name).storage, shared) << name;
  }
  EXPECT_EQ(entry(layout, "overlap").storage_offset, 150);
  EXPECT_NE(entry(layout, "apart").storage, shared);
  EXPECT_EQ(layout.storages[entry(layout, "apart").storage].size, 20u);
}

TEST(ChunkLayout, OffsetsStayWholeForEveryDtypeOfAStorage) {
  const auto storage = test::random_bytes(400, 3);
  StateDict state;
  state.add("complex", view_of(storage, DType::complex128, {2}, {1}, 3));  // bytes 48 to 80
  state.add("bytes", view_of(storage, DType::uint8, {10}, {1}, 41));       // bytes 41 to 51
  state.add("lone", view_of(storage, DType::uint8, {10}, {1}, 101));
  const auto layout = plan_chunks(state, chunk_size);
  const auto& complex = entry(layout, "complex");
  EXPECT_EQ(layout.storages[complex.storage].size, 48u);  // from 32
  EXPECT_EQ(complex.storage_offset, 1);
  EXPECT_EQ(entry(layout, "bytes").storage, complex.storage);
  EXPECT_EQ(entry(layout, "bytes").storage_offset, 9);
  EXPECT_EQ(layout.spans[complex.storage].scalar_size, 1);  // of "bytes", the first by name
}

TEST(ChunkLayout, EqualBytesInTwoStoragesStayTwoStorages) {
  const std::vector<std::byte> a(64), b(64);
  StateDict state;
  state.add("a", view_of(a, DType::float32, {16}, {1}));
  state.add("b", view_of(b, DType::float32, {16}, {1}));
  EXPECT_EQ(plan_chunks(state, chunk_size).storages.size(), 2u);
}

TEST(ChunkLayout, EmptyTensorsHaveEmptyStoragesOfTheirOwn) {
  const auto storage = test::random_bytes(64, 4);
  StateDict state;
  state.add("a", view_of(storage, DType::float32, {0, 3}, {3, 1}, 5));
  state.add("b", contiguous_view(DType::float64, {0}, nullptr));
  const auto layout = plan_chunks(state, chunk_size);
  ASSERT_EQ(layout.storages.size(), 2u);
  EXPECT_EQ(layout.storages[0].size, 0u);
  EXPECT_TRUE(layout.storages[0].pieces.empty());
  EXPECT_EQ(entry(layout, "a").storage_offset, 0);
  EXPECT_NE(entry(layout, "a").storage, entry(layout, "b").storage);
  EXPECT_TRUE(layout.chunks.empty());
}

TEST(ChunkLayout, LargeStoragesAreCutAtFixedOffsets) {
  const auto storage = test::random_bytes(2'500'000, 5);
  StateDict state;
  state.add("w", view_of(storage, DType::float32, {625'000}, {1}));
  const auto layout = plan_chunks(state, chunk_size);
  ASSERT_EQ(layout.chunks.size(), 3u);
  EXPECT_EQ(layout.chunks[1].raw_size, chunk_size);
  EXPECT_EQ(layout.chunks[2].raw_size, 2'500'000u - 2 * chunk_size);
  std::vector<std::byte> scratch;
  EXPECT_EQ(chunk_bytes(layout, layout.chunks[1], scratch).data(), storage.data() + chunk_size)
      << "large chunks are not copied";
  EXPECT_TRUE(storage_bytes(layout, 0) == storage);
}

TEST(ChunkLayout, SmallStoragesShareChunksByScalarSize) {
  std::vector<std::vector<std::byte>> memory;
  StateDict state;
  const DType dtypes[] = {DType::float32, DType::bfloat16, DType::float64, DType::complex64};
  for (std::size_t i = 0; i < 40; ++i) memory.push_back(test::random_bytes(16 * (i % 7 + 1), i));
  for (std::size_t i = 0; i < memory.size(); ++i) {
    const DType dtype = dtypes[i % 4];
    const auto count = static_cast<std::int64_t>(memory[i].size() / size_of(dtype)) - 1;
    state.add("t" + std::to_string(10 + i), view_of(memory[i], dtype, {count}, {1}));
  }
  const auto layout = plan_chunks(state, chunk_size);
  ASSERT_EQ(layout.chunks.size(), 3u);  // of 2, 4 and 8 bytes
  EXPECT_EQ(layout.chunks[0].scalar_size, 2);
  EXPECT_EQ(layout.chunks[1].scalar_size, 4);
  EXPECT_EQ(layout.chunks[2].scalar_size, 8);
  EXPECT_EQ(layout.chunks[1].part_count, 20u);  // float32 and complex64
  for (const auto& part : layout.parts) EXPECT_EQ(part.offset % 8, 0u);
  for (std::size_t i = 0; i < layout.spans.size(); ++i) {
    const std::vector<std::byte> expected(layout.spans[i].data,
                                          layout.spans[i].data + layout.spans[i].size);
    EXPECT_TRUE(storage_bytes(layout, i) == expected) << i;
  }
}

TEST(ChunkLayout, SharedChunksStayWithinTheChunkSize) {
  std::vector<std::vector<std::byte>> memory;
  StateDict state;
  for (std::size_t i = 0; i < 50; ++i) memory.push_back(test::random_bytes(1001, i));
  memory.push_back(test::random_bytes(5000, 99));  // more than a chunk: cut
  memory.push_back(test::random_bytes(4096, 99));  // exactly a chunk
  for (std::size_t i = 0; i < memory.size(); ++i) {
    const auto size = static_cast<std::int64_t>(memory[i].size());
    state.add("t" + std::to_string(100 + i), view_of(memory[i], DType::uint8, {size}, {1}));
  }
  const auto layout = plan_chunks(state, 4096);
  for (const auto& chunk : layout.chunks) EXPECT_LE(chunk.raw_size, 4096u);
  EXPECT_EQ(layout.chunks.size(), 2u + 13 + 1);
  for (std::size_t i = 0; i < memory.size(); ++i) {
    EXPECT_TRUE(storage_bytes(layout, i) == memory[i]) << i;
  }
}

}  // namespace
}  // namespace ckp

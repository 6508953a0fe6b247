// Bounded memory (P16): what may grow with a store is what its chunks' numbers and digests need,
// and never with their bytes.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstring>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "ckp/run.h"
#include "ckp/store.h"
#include "support/child_process.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/program.h"
#include "support/sanitizer.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

constexpr std::size_t chunk_size = 4096;
constexpr std::size_t tensors = 500;         // below chunk_size / 8: see ManyChunks
constexpr std::size_t storage_chunks = 100;  // of each tensor
constexpr std::uint64_t mebibyte = 1u << 20;
constexpr std::size_t state_size = 256 * mebibyte, state_tensor = 4 * mebibyte;

// Tensors that lie in one buffer, each eight bytes behind the one before, so that no chunk equals
// another although all are nearly empty: small in memory and on disk, many in number.
class ManyChunks {
 public:
  static constexpr std::uint64_t count = tensors * storage_chunks;

  explicit ManyChunks(std::uint64_t version) : buffer_(storage_size + 8 * tensors) {
    // In each row of a patch: a version has all chunks of its own.
    for (std::size_t at = 0; at + 8 <= buffer_.size(); at += 256) {
      const std::uint64_t mark = version << 32 | (at / chunk_size + 1);
      std::memcpy(&buffer_[at], &mark, sizeof mark);
    }
  }
  StateDict dict() const {
    StateDict state;
    for (std::size_t i = 0; i < tensors; ++i) {
      state.add("table/" + std::to_string(i),
                contiguous_view(DType::int64, {storage_size / 8}, &buffer_[8 * i]));
    }
    return state;
  }

 private:
  static constexpr std::size_t storage_size = storage_chunks * chunk_size;
  std::vector<std::byte> buffer_;
};

// What a process may have in heap, stacks and other private memory.
std::uint64_t allowed(std::uint64_t chunks) { return 64 * mebibyte + 64 * chunks; }

// Of this process, in bytes: what RLIMIT_DATA limits.
std::uint64_t private_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::uint64_t kibibytes = 0;
    if (word == "VmData:" && status >> kibibytes) return 1024 * kibibytes;
  }
  throw std::runtime_error("/proc/self/status has no VmData");
}

// Trains and saves in a process that may take `budget` bytes more than it has when its state is
// there.
void save_within(SnapshotMode snapshot, std::uint64_t budget) {
  if (test::sanitized) GTEST_SKIP() << "a sanitizer's own memory is not bounded";
  const test::TemporaryDirectory directory{test::memory_directory()};
  test::ChildProcess trainer([&] {
    std::vector<std::uint64_t> weights(state_size / 8);
    Store store = Store::create(directory / "store");
    ckp::Run run = store.create_run({.name = "run"});
    StateDict state;
    for (std::size_t at = 0; at < weights.size(); at += state_tensor / 8) {
      state.add(std::to_string(at),
                contiguous_view(DType::int64, {state_tensor / 8}, &weights[at]));
    }
    const rlim_t limit = private_memory() + budget;
    const rlimit both{limit, limit};
    if (::setrlimit(RLIMIT_DATA, &both) != 0) return 1;
    std::mt19937_64 noise(1);
    for (std::int64_t epoch = 1; epoch <= 4; ++epoch) {
      for (std::uint64_t& weight : weights) weight = noise();
      const SaveReport report = run.save(state, {.epoch = epoch, .snapshot = snapshot}).wait();
      if (report.bytes_written < state_size) return 2;
    }
    return 0;
  });
  EXPECT_EQ(trainer.wait(), 0);
  test::figure(
      "P16 memory of saves",
      fmt::format("{} MiB of noise, saved four times {}, in {} MiB more", state_size / mebibyte,
                  snapshot == SnapshotMode::none ? "in place" : "in the background",
                  budget / mebibyte));
}

TEST(MemoryLimitTest, ASaveInPlaceTakes128MiB) { save_within(SnapshotMode::none, 128 * mebibyte); }

TEST(MemoryLimitTest, ASaveInTheBackgroundTakesWhatHasChangedAnd128MiB) {
  save_within(SnapshotMode::copied, state_size + 128 * mebibyte);
}

TEST(MemoryLimitTest, ALargeArtifactIsSavedAndExtractedInPieces) {
  if (test::sanitized) GTEST_SKIP() << "a sanitizer's own memory is not bounded";
  const test::TemporaryDirectory directory{test::memory_directory()};
  constexpr std::uint64_t size = 256 * mebibyte;
  // Two stretches of noise in a file of holes.
  {
    std::ofstream file(directory / "large.bin", std::ios::binary);
    std::mt19937_64 noise(1);
    for (const std::uint64_t at : {std::uint64_t{0}, size - 8 * mebibyte}) {
      file.seekp(static_cast<std::streamoff>(at));
      for (std::uint64_t i = 0; i < mebibyte; ++i) {
        const std::uint64_t word = noise();
        file.write(reinterpret_cast<const char*>(&word), sizeof word);
      }
    }
  }
  test::ChildProcess trainer([&] {
    Store store = Store::create(directory / "store");
    ckp::Run run = store.create_run({.name = "run"});
    const std::vector<float> weight(10);
    StateDict state;
    state.add("weight", contiguous_view(DType::float32, {10}, weight.data()));
    const rlim_t limit = private_memory() + 128 * mebibyte;
    const rlimit both{limit, limit};
    if (::setrlimit(RLIMIT_DATA, &both) != 0) return 1;
    for (const std::int64_t epoch : {1, 2}) {
      run.save(state, {.epoch = epoch, .artifacts = {{"large.bin", directory / "large.bin"}}})
          .wait();
    }
    return 0;
  });
  ASSERT_EQ(trainer.wait(), 0);
  const std::string ckptool = std::string(CKP_BIN_DIR) + "/ckptool";
  const std::string out = (directory / "out").string();
  const auto result =
      test::run_program({ckptool, "extract", (directory / "store").string(), "run", "-o", out},
                        {{RLIMIT_DATA, static_cast<unsigned long>(128 * mebibyte)}});
  EXPECT_EQ(result.status, 0) << result;
  const auto same = test::run_program(
      {"cmp", (directory / "large.bin").string(), (directory / "out/large.bin").string()});
  EXPECT_EQ(same.status, 0) << same;
  test::figure("P16 memory of artifacts",
               fmt::format("a file of {} MiB saved twice and extracted in {} MiB each",
                           size / mebibyte, 128));
}

TEST(MemoryLimitTest, VerifyAndPruneOfManyChunks) {
  if (test::sanitized) GTEST_SKIP() << "a sanitizer's own memory is not bounded";
  const test::TemporaryDirectory directory{test::memory_directory()};
  const std::string store = (directory / "store").string();
  const std::uint64_t saves = test::effort(4);
  {
    Store made = Store::create(store);
    ckp::Run run = made.create_run({.name = "many"});
    for (std::uint64_t epoch = 1; epoch <= saves; ++epoch) {
      const ManyChunks state(epoch);
      const SaveReport report = run.save(state.dict(), {.epoch = static_cast<std::int64_t>(epoch),
                                                        .encode = {.chunk_size = chunk_size}})
                                    .wait();
      ASSERT_EQ(report.chunks_written, state.count);
    }
  }
  const std::uint64_t chunks = saves * ManyChunks::count;
  const std::string ckptool = std::string(CKP_BIN_DIR) + "/ckptool";
  const std::vector<std::vector<std::string>> commands = {
      {ckptool, "verify", store},        {ckptool, "verify", store, "--full"},
      {ckptool, "rebuild-index", store}, {ckptool, "prune", store, "--keep-last", "1"},
      {ckptool, "verify", store},
  };
  const auto limit = static_cast<unsigned long>(allowed(chunks));
  for (const auto& command : commands) {
    const auto result = test::run_program(command, {{RLIMIT_DATA, limit}});
    EXPECT_EQ(result.status, 0) << command[1] << ": " << result;
  }
  test::figure("P16 memory", std::to_string(chunks) + " chunks verified, indexed and pruned in " +
                                 std::to_string(limit / mebibyte) + " MiB");
}

}  // namespace
}  // namespace ckp

// Bounded memory (P16): what may grow with a store is what its chunks' numbers and digests need,
// and never with their bytes.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstring>
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

// A single file that is replaced while its writer is killed: the old one or the new one, never a
// mix (P3).
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>

#include "ckp/convert.h"
#include "ckp/file_system.h"
#include "ckp/load.h"
#include "ckp/save.h"
#include "kill/acknowledged.h"
#include "kill/trainer.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/program.h"
#include "support/seed.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

class FileKillTest : public testing::Test {
 protected:
  // Whether it was killed before it had ended by itself.
  bool kill_in_time(int pid, std::uint64_t after_us) {
    ::usleep(static_cast<useconds_t>(after_us));
    ::kill(pid, SIGKILL);
    return test::wait_for_program(pid) == 128 + SIGKILL;
  }
  static std::string bytes_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::size_t temporary_files() {
    const auto names = posix_file_system()->list(place_.path());
    return static_cast<std::size_t>(std::ranges::count_if(
        names, [](const std::string& name) { return name.ends_with(".tmp"); }));
  }
  const test::TemporaryDirectory place_{test::memory_directory()};
  std::mt19937_64 random_;
};

TEST_F(FileKillTest, SaveFile) {
  random_.seed(test::seed(31));
  const std::uint64_t wanted = test::effort(40);
  std::uint64_t kills = 0;
  const auto path = place_ / "state.ckp", acks = place_ / "acks";
  save_file(path, test::trained_state("file", 0).dict(), {.epoch = 0});
  while (kills < wanted) {
    std::filesystem::remove(acks);
    const int pid =
        test::start_program({std::string(CKP_BIN_DIR) + "/ckp_kill_trainer", "file", path, acks});
    kills += kill_in_time(pid, 2'000 + random_() % 20'000) ? 1 : 0;
    const Checkpoint found = open_file(path);
    const std::int64_t epoch = found.record().epoch;
    EXPECT_TRUE(test::trained_state("file", epoch).is_in(found)) << "a mix";
    const std::int64_t last = test::read_acknowledged(acks).last_epoch;
    // Without an acknowledgement the file may be an earlier process's.
    ASSERT_TRUE(last == 0 || epoch == last || epoch == last + 1) << epoch << " after " << last;
  }
  save_file(path, test::trained_state("file", 0).dict(), {.epoch = 0});
  EXPECT_EQ(temporary_files(), 0u) << "a save removes what killed ones have left";
  test::figure("P3 kills", std::to_string(kills) + " kills of save_file, 0 lost");
}

TEST_F(FileKillTest, ConvertOverAnExistingFile) {
  random_.seed(test::seed(32));
  const std::uint64_t wanted = test::effort(40);
  const auto out = place_ / "out.safetensors";
  std::vector<std::string> sources, results;
  for (const int epoch : {1, 3}) {
    sources.push_back(place_ / (std::to_string(epoch) + ".ckp"));
    save_file(sources.back(), test::SmallState(epoch, 2'000'000).dict(), {.epoch = epoch});
    write_safetensors(open_file(sources.back()), out);
    results.push_back(bytes_of(out));
  }
  const std::uint64_t whole_us = test::duration_us(
      {std::string(CKP_BIN_DIR) + "/ckptool", "convert", sources.back(), out, "--force"});
  std::uint64_t kills = 0, replaced = 0;
  for (std::uint64_t round = 0; kills < wanted; ++round) {
    const int pid = test::start_program(
        {std::string(CKP_BIN_DIR) + "/ckptool", "convert", sources[round % 2], out, "--force"});
    const bool killed = kill_in_time(pid, random_() % (whole_us + whole_us / 4));
    kills += killed ? 1 : 0;
    const std::string now = bytes_of(out);
    const bool is_new = now == results[round % 2];
    replaced += is_new ? 1 : 0;
    ASSERT_TRUE(is_new || (killed && now == results[(round + 1) % 2])) << "a mix";
    if (!is_new) --round;  // the same once more
  }
  write_safetensors(open_file(sources.back()), out);
  EXPECT_EQ(temporary_files(), 0u) << "a conversion removes what killed ones have left";
  test::figure("P3 kills", std::to_string(kills) + " kills of ckptool convert, 0 mixed, " +
                               std::to_string(replaced) + " replaced");
}

}  // namespace
}  // namespace ckp

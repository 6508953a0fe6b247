// Promise P15: one trainer saves and prunes, eight processes list and load what is there, and are
// killed and replaced all the time.
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "engine/store_fixture.h"
#include "support/child_process.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::ChildProcess;
using test::SmallState;

// Seen by all processes.
struct Progress {
  std::atomic<bool> finished = false;
  std::atomic<std::uint64_t> loads = 0, pruned = 0;
};

class ReadersTest : public test::StoreTest {
 protected:
  ReadersTest() {
    void* const page = ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::runtime_error("mmap");
    progress_ = new (page) Progress;
  }
  ~ReadersTest() override { ::munmap(progress_, sizeof(Progress)); }

  static SmallState state(std::int64_t epoch) { return SmallState(static_cast<int>(epoch), 5000); }

  int save_all(std::int64_t saves) const {
    Store store = Store::open(path());
    ckp::Run run = store.create_run(run_options("cnn"));
    KeepPolicy policy;
    policy.last = 3;
    for (std::int64_t epoch = 1; epoch <= saves; ++epoch) {
      run.save(state(epoch).dict(), {.epoch = epoch, .step = epoch}).wait();
      if (epoch % 4 == 0) store.prune(policy);
    }
    run.finish(RunStatus::completed);
    return 0;
  }

  // 0, or what was wrong.
  int read_all_the_time() const {
    std::int64_t newest = 0;
    while (!progress_->finished) {
      const Store store = Store::open(path());
      for (int i = 0; i < 20 && !progress_->finished; ++i) {
        if (store.runs().empty()) continue;
        const auto all = store.checkpoints(store.run("cnn").id);
        if (all.empty()) continue;
        if (all.back().epoch < newest) return 1;  // what was listed once is gone
        newest = all.back().epoch;
        try {
          const CheckpointRecord& one = all[static_cast<std::size_t>(i) % all.size()];
          if (!state(one.epoch).is_in(store.open_checkpoint(one))) return 2;
          ++progress_->loads;
        } catch (const Error& error) {
          if (error.code() != ErrorCode::not_found) return 3;
          ++progress_->pruned;  // since it was listed
        }
      }
    }
    return 0;
  }

  Progress* progress_ = nullptr;
};

TEST_F(ReadersTest, OneWriterAndEightReadersThatAreKilled) {
  constexpr std::size_t readers = 8;
  const auto saves = static_cast<std::int64_t>(test::effort(60));
  std::mt19937_64 random(test::seed(15));
  Store::create(path());
  const auto start = std::chrono::steady_clock::now();
  ChildProcess writer([&] {
    const std::unique_ptr<Progress, void (*)(Progress*)> end(
        progress_, [](Progress* progress) { progress->finished = true; });
    return save_all(saves);
  });
  const auto new_reader = [&] {
    return std::make_unique<ChildProcess>([&] { return read_all_the_time(); });
  };
  std::vector<std::unique_ptr<ChildProcess>> running(readers);
  for (auto& reader : running) reader = new_reader();
  std::uint64_t kills = 0;
  for (std::uint64_t next = 50; !progress_->finished;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // they have the processors
    if (progress_->loads < next) continue;
    next = progress_->loads + 50;
    auto& reader = running[random() % readers];
    reader->kill();
    const int status = reader->wait();
    EXPECT_TRUE(status == -SIGKILL || (status == 0 && progress_->finished)) << status;
    reader = new_reader();
    ++kills;
  }
  EXPECT_EQ(writer.wait(), 0);
  for (auto& reader : running) EXPECT_EQ(reader->wait(), 0);
  EXPECT_GT(progress_->loads, 100u);
  const VerifyReport report = Store::open(path()).verify({.level = VerifyLevel::full});
  for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  test::figure("P15 readers",
               std::to_string(saves) + " saves beside " + std::to_string(readers) + " readers in " +
                   std::to_string(static_cast<int>(seconds.count())) +
                   " s: " + std::to_string(progress_->loads) + " loads, " +
                   std::to_string(progress_->pruned) + " pruned before they were opened, " +
                   std::to_string(kills) + " readers killed, 0 wrong");
}

}  // namespace
}  // namespace ckp

// Metric series, as a run has logged them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ckp/file_system.h"
#include "ckp/records.h"

namespace ckp {

// One call of Run::log.
struct MetricPoint {
  std::uint32_t attempt = 0;
  std::int64_t epoch = 0;
  std::int64_t step = 0;
  std::int64_t time_ns = 0;
  std::uint64_t commit = 0;              // the last commit that its writer had seen
  std::map<std::string, double> values;  // NaN and infinities kept, bit exact
  friend bool operator==(const MetricPoint& a, const MetricPoint& b);  // by bits
};

// What a resume from an earlier checkpoint has left behind: a point behind the step from which the
// next attempt went on. Where both attempts have logged a metric at one epoch and step, the later
// one counts.
enum class Superseded { left_out, included };

// `points` without what is superseded on the run's current line. Pure; of attempts whose resume did
// not record the step the checkpoints tell it, else the
// commit number.
std::vector<MetricPoint> current_points(const RunRecord& run,
                                        const std::vector<CheckpointRecord>& checkpoints,
                                        std::vector<MetricPoint> points);

// Reads the journals of one run again and again, each byte once; made by Store::follow. What is
// damaged, or another run's, is passed over. One thread at a time; holds no file open.
class MetricFollower {
 public:
  MetricFollower(std::shared_ptr<FileSystem> fs, std::filesystem::path run_directory);
  MetricFollower(MetricFollower&&) noexcept;
  MetricFollower& operator=(MetricFollower&&) noexcept;
  ~MetricFollower();

  // What has come since the last call, by attempt, then in the order in which it was logged. Waits
  // for nothing. Throws what reading throws; nothing for a run that was removed meanwhile.
  std::vector<MetricPoint> read();
  // What read() has passed over so far, one line each with the file's path. What a process is about
  // to append, or has been killed while it did, is none of it. verify says more.
  const std::vector<std::string>& unread() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ckp

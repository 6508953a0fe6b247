// The command line of train_fashion_mnist.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ckp/records.h"

namespace example {

struct Options {
  std::string store = "store";
  std::string run = "fashion-mnist";
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::string data_version;
  std::int64_t epochs = 3;
  std::int64_t batch_size = 64;
  double lr = 2e-3;
  std::int64_t seed = 1;
  std::int64_t train_size = 10000;
  std::int64_t accumulate = 1;
  std::int64_t swa = 0;         // the first epoch, from 1, whose weights are averaged; 0: none
  std::int64_t save_every = 0;  // steps; 0: at the end of each epoch only
  std::vector<std::string> keep;
  std::int64_t stop_after_worse = 0;  // epochs; 0: never
  double max_time = 0;                // seconds; 0: no limit
  double notice = 0;                  // seconds
  std::string on_nonfinite = "warn";
  bool resume = false;
  std::string resume_from;  // an address; empty: the newest
  bool exact = false;
  std::vector<std::string> keep_constructed;
  std::int64_t check_resume = 0;  // steps
  std::string ack_dir;
  int threads = 1;
  bool json = false;
  std::set<std::string> given;  // options that stand on the command line: "--lr", ...
};

// The options, or the exit code when there is nothing more to do (--help, a usage error: both have
// been printed).
struct ParseResult {
  std::optional<Options> options;
  int exit_code = 0;
};
ParseResult parse_options(int argc, const char* const* argv);

// What is recorded with the run.
ckp::Value::Map run_parameters(const Options& options);

// The options with which to go on with a run: what was not given is as it was recorded.
// Throws ckp::Error(invalid_argument) for a given one that would make another run of it; only the
// number of epochs may change.
Options continue_options(Options options, const ckp::RunRecord& run);

}  // namespace example

// Tests that run the real ckptool in a directory of their own.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ckp/store.h"

namespace ckp::test {

struct Result {
  int code = -1;  // exit status; 128 + n when signal n ended it
  std::string out, err;
  // The one document on standard output. Fails the test when it is not JSON.
  nlohmann::json json() const;
};
bool contains(const std::string& text, const std::string& word);
// For messages of assertions.
std::ostream& operator<<(std::ostream& stream, const Result& result);

struct Surroundings {
  std::filesystem::path directory = {};               // current one; empty: the test's
  std::map<std::string, std::string> variables = {};  // set in the environment
  std::string standard_output = {};  // a path to write to instead; empty: collected
  unsigned open_files = 0;           // ulimit -n; 0: as it is here
};

class CliTest : public ::testing::Test {
 protected:
  CliTest();
  ~CliTest() override;

  const std::filesystem::path& root() const { return root_; }
  // Where the tests make their store. Nothing is there at first.
  std::filesystem::path store() const { return root_ / "store"; }

  // Runs ckptool to its end, with standard input from /dev/null and no $CKPSTORE.
  Result ckptool(const std::vector<std::string>& arguments,
                 const Surroundings& surroundings = {}) const;

  // The same, but SIGINT reaches it as soon as it catches that signal.
  Result interrupted_ckptool(const std::vector<std::string>& arguments) const;

  // The messages of an error: the text on standard error and the same in JSON.
  void expect_error(std::vector<std::string> arguments, int code, const std::string& json_code,
                    const std::vector<std::string>& words) const;

 private:
  Result finish(pid_t child, const std::string& out, const std::string& err) const;
  pid_t start(const std::vector<std::string>& arguments, const Surroundings& surroundings,
              const std::string& out, const std::string& err) const;

  std::filesystem::path root_;
};

// The metrics of one epoch's checkpoint: "val/loss" falls until epoch 3 and rises afterwards.
std::map<std::string, double> metrics_of(std::int64_t epoch);

// A run with a checkpoint after each of `epochs` epochs, ten steps each. `val/loss` is declared as
// lower is better. The tensors: model/fc.weight (float32 [128, 256], new values in each epoch),
// model/fc.bias (float32 [128]), model/embedding.weight (float32 [64, 512], never changes) and
// optimizer/fc.weight/exp_avg (zeros); the value progress/epoch.
std::vector<CheckpointRecord> make_run(Store& store, const std::string& name, std::int64_t epochs,
                                       RunStatus end = RunStatus::completed);

// Saves epochs [from, to] into a run that is open.
std::vector<CheckpointRecord> save_epochs(Run& run, std::int64_t from, std::int64_t to);

// One state of those as a standalone file.
void make_file(const std::filesystem::path& path, std::int64_t epoch);

// A safetensors file from its header text and as many zero bytes.
void write_safetensors_file(const std::filesystem::path& path, const std::string& header,
                            std::size_t data_size);

std::string read_bytes(const std::filesystem::path& path);
void write_bytes(const std::filesystem::path& path, const std::string& bytes);
void flip_byte(const std::filesystem::path& path, std::size_t offset);

// Sum of the sizes of all files below `directory`.
std::uint64_t bytes_below(const std::filesystem::path& directory);

}  // namespace ckp::test

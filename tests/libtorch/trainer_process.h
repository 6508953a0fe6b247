// A real trainer as a child process whose output is read line by line.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace ckp::test {

class TrainerProcess {
 public:
  explicit TrainerProcess(std::vector<std::string> arguments,
                          const std::string& program = "train_fashion_mnist");
  ~TrainerProcess();  // kills it when it still runs
  TrainerProcess(const TrainerProcess&) = delete;
  TrainerProcess& operator=(const TrainerProcess&) = delete;

  // The next line of standard output; nothing at its end, or when `until` has come. Standard error
  // is collected on the way.
  using Time = std::chrono::steady_clock::time_point;
  std::optional<std::string> read_line(std::optional<Time> until = std::nullopt);
  // Reads on until the output ends (true) or `until` has come (false).
  bool read_until(Time until);
  void kill();
  void signal(int number);
  // Waits for the end: the exit status, or minus the signal. Standard output is read to its end.
  int wait();

  const std::vector<std::string>& lines() const { return lines_; }
  const std::string& errors() const { return errors_; }

 private:
  bool fill(std::optional<Time> until);  // false: nothing more until then
  bool take(int& descriptor, std::string& text);

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::string pending_;
  std::vector<std::string> lines_;
  std::string errors_;
};

}  // namespace ckp::test

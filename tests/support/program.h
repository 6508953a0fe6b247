// Other programs, run to their end, with what they print.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ckp::test {

struct ProgramResult {
  int status = -1;  // exit status; 128 + n when signal n ended it; 127 when it cannot be started
  std::string out, err;
};
std::ostream& operator<<(std::ostream& stream, const ProgramResult& result);

// Runs `arguments[0]`, looked up in $PATH, with standard input from /dev/null. `limits`: of
// setrlimit(), both soft and hard.
ProgramResult run_program(const std::vector<std::string>& arguments,
                          const std::map<int, unsigned long>& limits = {});

// How long a run takes on this machine in this build: the measure for killing others in time.
std::uint64_t duration_us(const std::vector<std::string>& arguments);

// Starts it and returns its process id; output goes to the file `output`, which is made anew, or is
// thrown away; errors go where the test's go.
int start_program(const std::vector<std::string>& arguments, const std::string& output = "");
// Waits for the end of a started program; the exit status, or 128 + n when signal n ended it.
int wait_for_program(int pid);

}  // namespace ckp::test

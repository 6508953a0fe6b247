#include "support/program.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <ostream>
#include <stdexcept>

namespace ckp::test {
namespace {

using Stream = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

Stream temporary_file() {
  Stream file(std::tmpfile(), std::fclose);
  if (!file) throw std::runtime_error("tmpfile");
  return file;
}

std::string contents(std::FILE* file) {
  std::rewind(file);
  std::string text;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, file)) > 0;) {
    text.append(buffer, got);
  }
  return text;
}

// In the child.
[[noreturn]] void become(const std::vector<std::string>& arguments, int out, int err,
                         const std::map<int, unsigned long>& limits) {
  const int nothing = ::open("/dev/null", O_RDWR);
  ::dup2(nothing, 0);
  ::dup2(out < 0 ? nothing : out, 1);
  if (err >= 0) ::dup2(err, 2);
  for (const auto& [resource, value] : limits) {
    const rlimit limit{value, value};
    ::setrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
  }
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

int start(const std::vector<std::string>& arguments, int out, int err,
          const std::map<int, unsigned long>& limits) {
  const int child = ::fork();
  if (child == 0) become(arguments, out, err, limits);
  if (child < 0) throw std::runtime_error("fork");
  return child;
}

}  // namespace

std::ostream& operator<<(std::ostream& stream, const ProgramResult& result) {
  return stream << "\nexit " << result.status << "\nstdout: " << result.out
                << "\nstderr: " << result.err;
}

ProgramResult run_program(const std::vector<std::string>& arguments,
                          const std::map<int, unsigned long>& limits) {
  const Stream out = temporary_file(), err = temporary_file();
  const int child = start(arguments, ::fileno(out.get()), ::fileno(err.get()), limits);
  ProgramResult result;
  result.status = wait_for_program(child);
  result.out = contents(out.get());
  result.err = contents(err.get());
  return result;
}

std::uint64_t duration_us(const std::vector<std::string>& arguments) {
  using namespace std::chrono;
  const auto begin = steady_clock::now();
  const ProgramResult result = run_program(arguments);
  if (result.status != 0) throw std::runtime_error(arguments[0] + ": " + result.err);
  return static_cast<std::uint64_t>(
      duration_cast<microseconds>(steady_clock::now() - begin).count());
}

int start_program(const std::vector<std::string>& arguments, const std::string& output) {
  if (output.empty()) return start(arguments, -1, -1, {});
  const Stream out(std::fopen(output.c_str(), "wbe"), std::fclose);
  if (!out) throw std::runtime_error(output);
  return start(arguments, ::fileno(out.get()), -1, {});
}

int wait_for_program(int pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace ckp::test

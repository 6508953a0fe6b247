#include "trainer_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace ckp::test {
namespace {

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  return ends;
}

int milliseconds_until(std::optional<TrainerProcess::Time> until) {
  if (!until) return -1;
  auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(
      *until - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<std::int64_t>(0, rest.count()));
}

}  // namespace

TrainerProcess::TrainerProcess(std::vector<std::string> arguments, const std::string& program) {
  arguments.insert(arguments.begin(), CKP_BIN_DIR "/" + program);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const auto out = make_pipe(), err = make_pipe();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ == 0) {
    ::dup2(out[1], 1);
    ::dup2(err[1], 2);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

TrainerProcess::~TrainerProcess() {
  if (pid_ > 0) {
    kill();
    wait();
  }
}

void TrainerProcess::kill() { signal(SIGKILL); }

void TrainerProcess::signal(int number) { ::kill(pid_, number); }

bool TrainerProcess::take(int& descriptor, std::string& text) {
  std::array<char, 4096> buffer{};
  const ssize_t size = ::read(descriptor, buffer.data(), buffer.size());
  if (size > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(size));
    return true;
  }
  ::close(descriptor);
  descriptor = -1;
  return false;
}

bool TrainerProcess::fill(std::optional<Time> until) {
  std::array<pollfd, 2> wanted{pollfd{out_, POLLIN, 0}, pollfd{err_, POLLIN, 0}};
  if (::poll(wanted.data(), wanted.size(), milliseconds_until(until)) == 0) return false;
  if (wanted[1].revents != 0) take(err_, errors_);
  if (wanted[0].revents != 0) take(out_, pending_);
  return true;
}

std::optional<std::string> TrainerProcess::read_line(std::optional<Time> until) {
  for (;;) {
    const auto end = pending_.find('\n');
    if (end != std::string::npos) {
      lines_.push_back(pending_.substr(0, end));
      pending_.erase(0, end + 1);
      return lines_.back();
    }
    if (out_ < 0 || !fill(until)) return std::nullopt;
  }
}

bool TrainerProcess::read_until(Time until) {
  while (read_line(until)) {
  }
  return out_ < 0;
}

int TrainerProcess::wait() {
  while (read_line()) {
  }
  while (err_ >= 0) fill(std::nullopt);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace ckp::test

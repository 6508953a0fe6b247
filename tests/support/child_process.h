// Real forked processes for tests: steps are agreed upon through pipes, never by waiting a while.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <functional>
#include <stdexcept>
#include <utility>

namespace ckp::test {

// One process tells another that it may go on.
class Gate {
 public:
  Gate() {
    if (::pipe(ends_.data()) != 0) throw std::runtime_error("pipe");
  }
  ~Gate() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void open() const { (void)!::write(ends_[1], "x", 1); }
  // Returns when open() was called once more than pass() has returned.
  void pass() const {
    char byte = 0;
    while (::read(ends_[0], &byte, 1) < 0) {
    }
  }

 private:
  std::array<int, 2> ends_{};
};

// Runs `body` in a forked child, which exits with what it returns; 99 for an exception.
class ChildProcess {
 public:
  explicit ChildProcess(const std::function<int()>& body) : pid_(::fork()) {
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ == 0) ::_exit(run(body));
  }
  ~ChildProcess() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    (void)wait();
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void kill() const { ::kill(pid_, SIGKILL); }
  // The exit status, or minus the number of the signal that ended it.
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  static int run(const std::function<int()>& body) {
    try {
      return body();
    } catch (const std::exception& error) {
      (void)!::write(2, error.what(), std::char_traits<char>::length(error.what()));
      return 99;
    }
  }

  pid_t pid_;
};

}  // namespace ckp::test

#include "io/child_program.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>

extern char** environ;

namespace ckp {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t max_errors = 4096;
// For the end of a program that was killed: one that hangs in the kernel is left to itself.
constexpr std::chrono::milliseconds patience{900};

int milliseconds_until(SteadyClock::time_point deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 60'000));
}

// A pair of sockets instead of a pipe: one call makes both ends close-on-exec, and the child's
// input can be the same end, shut for writing here.
class Channel {
 public:
  Channel() { open_ = ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()) == 0; }
  ~Channel() {
    close_child();
    if (open_) ::close(ends_[0]);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  bool is_open() const { return open_; }
  int own() const { return ends_[0]; }
  int child() const { return ends_[1]; }
  void shut_input() const { ::shutdown(ends_[0], SHUT_WR); }
  void close_child() {
    if (open_ && !child_closed_) ::close(ends_[1]);
    child_closed_ = true;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
  bool open_ = false;
  bool child_closed_ = false;
};

// NULL-terminated, as exec wants them.
std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::vector<std::string>& variables) {
  std::vector<std::string> all;
  for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
    const std::string_view given(*one);
    const std::string_view name = given.substr(0, given.find('=') + 1);
    const bool replaced = std::any_of(variables.begin(), variables.end(),
                                      [&](const std::string& v) { return v.starts_with(name); });
    if (!replaced) all.emplace_back(given);
  }
  all.insert(all.end(), variables.begin(), variables.end());
  return all;
}

// The number of an error, 0 for none.
int spawn(const ChildProgram& program, const Channel& output, const Channel& errors, pid_t& child) {
  std::vector<std::string> words = program.arguments;
  std::vector<std::string> variables = environment_with(program.variables);
  const std::vector<char*> argv = pointers_to(words), envp = pointers_to(variables);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (const int error = posix_spawn_file_actions_init(&actions); error != 0) return error;
  if (const int error = posix_spawnattr_init(&attributes); error != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return error;
  }
  posix_spawn_file_actions_adddup2(&actions, output.child(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.child(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.child(), STDERR_FILENO);
  sigset_t none, usual;
  sigemptyset(&none);
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error = posix_spawnp(&child, argv[0], &actions, &attributes, argv.data(), envp.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// Reads what is there into `text`, up to `limit` bytes. False at the end.
bool read_some(int descriptor, std::string& text, std::size_t limit, std::size_t& dropped) {
  std::array<char, 1 << 16> buffer;
  const ssize_t got = ::read(descriptor, buffer.data(), buffer.size());
  if (got < 0) return errno == EINTR;
  const std::size_t size = static_cast<std::size_t>(got);
  const std::size_t kept = std::min(size, limit - std::min(limit, text.size()));
  text.append(buffer.data(), kept);
  dropped += size - kept;
  return got > 0;
}

// False when the deadline came first.
bool read_all(const ChildProgram& program, int output, int errors, ChildResult& result) {
  std::array<pollfd, 2> open{pollfd{output, POLLIN, 0}, pollfd{errors, POLLIN, 0}};
  std::size_t ignored = 0;
  while (open[0].fd >= 0 || open[1].fd >= 0) {
    const int left = milliseconds_until(program.deadline);
    if (left == 0) return false;
    if (::poll(open.data(), open.size(), left) < 0 && errno != EINTR) return false;
    if (open[0].revents != 0 &&
        !read_some(output, result.output, program.max_output, result.dropped)) {
      open[0].fd = -1;
    }
    if (open[1].revents != 0 && !read_some(errors, result.errors, max_errors, ignored)) {
      open[1].fd = -1;
    }
    open[0].revents = open[1].revents = 0;
  }
  return true;
}

// False when it has not ended by then. Without a status where somebody else has taken it (a handler
// of SIGCHLD, or SIGCHLD ignored).
bool wait_for_end(pid_t child, SteadyClock::time_point deadline, std::optional<int>& status) {
  while (true) {
    int value = 0;
    const pid_t ended = ::waitpid(child, &value, WNOHANG);
    if (ended == child) status = value;
    if (ended == child || (ended < 0 && errno != EINTR)) return true;
    if (SteadyClock::now() >= deadline) return false;
    ::poll(nullptr, 0, 2);
  }
}

std::string describe_status(int status) {
  if (WIFSIGNALED(status)) return fmt::format("ended by signal {}", WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "" : fmt::format("ended with status {}", WEXITSTATUS(status));
}

}  // namespace

ChildResult run_child(const ChildProgram& program) {
  ChildResult result;
  Channel output, errors;
  if (!output.is_open() || !errors.is_open()) {
    result.failure = std::string("could not be started: ") + std::strerror(errno);
    return result;
  }
  pid_t child = -1;
  if (const int error = spawn(program, output, errors, child); error != 0) {
    result.failure = std::string("could not be started: ") + std::strerror(error);
    return result;
  }
  output.close_child();
  errors.close_child();
  output.shut_input();
  std::optional<int> status;
  const bool in_time = read_all(program, output.own(), errors.own(), result) &&
                       wait_for_end(child, program.deadline, status);
  if (!in_time) {
    ::kill(-child, SIGKILL);
    wait_for_end(child, SteadyClock::now() + patience, status);
    result.failure = "gave no answer in time";
  } else if (status) {
    result.failure = describe_status(*status);
  }
  return result;
}

}  // namespace ckp

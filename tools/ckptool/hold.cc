// ckptool hold: keeps deletions away while a command reads the store's files.
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "ckp/error.h"
#include "command.h"
#include "render.h"

namespace ckp::tool {
namespace {

// The command gets Ctrl-C, too, and decides what it means; we wait for it.
class IgnoredSignals {
 public:
  IgnoredSignals() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    for (std::size_t i = 0; i < std::size(signals); ++i) {
      ::sigaction(signals[i], &ignore, &previous_[i]);
    }
  }
  ~IgnoredSignals() {
    for (std::size_t i = 0; i < std::size(signals); ++i) {
      ::sigaction(signals[i], &previous_[i], nullptr);
    }
  }
  IgnoredSignals(const IgnoredSignals&) = delete;
  IgnoredSignals& operator=(const IgnoredSignals&) = delete;

  // What a child must not inherit as ignored.
  static sigset_t set() {
    sigset_t all;
    sigemptyset(&all);
    for (const int each : signals) sigaddset(&all, each);
    return all;
  }

 private:
  static constexpr int signals[] = {SIGINT, SIGQUIT};
  struct sigaction previous_[std::size(signals)]{};
};

// Its exit status, as a shell reports it.
int run_to_end(const std::vector<std::string>& command) {
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const IgnoredSignals ignored;
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  const sigset_t defaults = IgnoredSignals::set();
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int error =
      ::posix_spawnp(&child, words.front(), nullptr, &attributes, words.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    throw Error(ErrorCode::not_found, fmt::format("cannot run {}: {}", printable(command.front()),
                                                  std::generic_category().message(error)));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

class HoldCommand : public Command {
 public:
  HoldCommand()
      : Command("hold", "Keep prune and rm away while a command runs, such as a backup",
                "ckptool hold ./store -- rsync -a ./store/ backup:/store/\n"
                "ckptool hold ./store -- cp -a ./store ./copy") {}

 private:
  void declare() override {
    store_positional();
    positional("COMMAND",
               "What to run, with its arguments, behind --; its exit status is ckptool's", true);
  }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 1, arguments().size(), "COMMAND");
    OpenedStore store(context, found.path);
    const StoreHold hold = store.hold();
    return static_cast<ExitCode>(run_to_end(found.rest));
  }
};

}  // namespace

std::unique_ptr<Command> make_hold() { return std::make_unique<HoldCommand>(); }

}  // namespace ckp::tool

// What all commands share: the common options, positional arguments, and the result.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "ckp/file_system.h"
#include "ckp/store.h"
#include "exit_codes.h"
#include "json.h"
#include "output.h"
#include "store_argument.h"

namespace ckp::tool {

// What main() gives to a command.
struct Context {
  Output& output;
  std::shared_ptr<FileSystem> file_system;
};

// A store that says on standard error what its user should know about it: when it is opened, and in
// the end what has been found meanwhile.
class OpenedStore : public Store {
 public:
  OpenedStore(Context& context, const std::filesystem::path& path);
  OpenedStore(const OpenedStore&) = delete;
  OpenedStore& operator=(const OpenedStore&) = delete;
  ~OpenedStore();
};

// Says on standard error which checkpoints of a run are not in its list; returns what it said.
std::vector<std::string> tell_missing(const Store& store, const RunRecord& run);
// The same of the journals that `follower` could not read.
void tell_unread(const Store& store, const MetricFollower& follower);

class Command {
 public:
  // `example` is one or more lines, shown at the end of --help and in the manual page.
  Command(std::string name, std::string summary, std::string example);
  virtual ~Command() = default;

  // Adds the subcommand with its options to `program`. `this` must outlive it.
  void attach(CLI::App& program);
  CLI::App* app() const { return app_; }
  bool json() const { return json_; }
  ExitCode execute(Context& context);

 protected:
  virtual void declare() = 0;
  virtual ExitCode run(Context& context) = 0;

  // A positional argument that may be left out; `many` takes all that follow.
  void positional(const std::string& name, const std::string& help, bool many = false);
  CLI::Option* option(const std::string& name, const std::string& type, std::string& value,
                      const std::string& help);
  CLI::Option* options(const std::string& name, const std::string& type,
                       std::vector<std::string>& values, const std::string& help);
  CLI::Option* flag(const std::string& name, bool& value, const std::string& help);
  // STORE as the first positional, and --store.
  void store_positional(
      const std::string& help = "The store; left out: --store, $CKPSTORE, or upward from here");

  // The positional arguments that were given, in order.
  std::vector<std::string> arguments() const;
  // The store, and the arguments behind it, of which there must be `min` to `max`; `what` names
  // those that are missing.
  StoreArgument store_and_rest(Context& context, std::size_t min, std::size_t max,
                               std::string_view what) const;

  const std::string& store_option() const { return store_; }
  bool quiet() const { return quiet_; }
  // Results: one of the two, by --json.
  void print(Context& context, const Json& json, const std::string& text) const;

 private:
  std::string name_, summary_, example_;
  CLI::App* app_ = nullptr;
  bool json_ = false, quiet_ = false;
  std::string store_;
  std::vector<CLI::Option*> positionals_;
};

// The commands in the order in which help lists them.
std::vector<std::unique_ptr<Command>> all_commands();

std::unique_ptr<Command> make_init();
std::unique_ptr<Command> make_runs();
std::unique_ptr<Command> make_ls();
std::unique_ptr<Command> make_show();
std::unique_ptr<Command> make_best();
std::unique_ptr<Command> make_params();
std::unique_ptr<Command> make_metrics();
std::unique_ptr<Command> make_tail();
std::unique_ptr<Command> make_export();
std::unique_ptr<Command> make_artifacts();
std::unique_ptr<Command> make_extract();
std::unique_ptr<Command> make_diff();
std::unique_ptr<Command> make_drift();
std::unique_ptr<Command> make_bisect();
std::unique_ptr<Command> make_stats();
std::unique_ptr<Command> make_report();
std::unique_ptr<Command> make_verify();
std::unique_ptr<Command> make_repair();
std::unique_ptr<Command> make_prune();
std::unique_ptr<Command> make_policy();
std::unique_ptr<Command> make_rm();
std::unique_ptr<Command> make_undelete();
std::unique_ptr<Command> make_hold();
std::unique_ptr<Command> make_promote();
std::unique_ptr<Command> make_aliases();
std::unique_ptr<Command> make_tag();
std::unique_ptr<Command> make_metric();
std::unique_ptr<Command> make_note();
std::unique_ptr<Command> make_convert();
std::unique_ptr<Command> make_import();
std::unique_ptr<Command> make_digest();
std::unique_ptr<Command> make_rebuild_index();
std::unique_ptr<Command> make_completion();

}  // namespace ckp::tool

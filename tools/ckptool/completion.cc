// ckptool completion: a script for the shell.
#include <fmt/format.h>

#include "command.h"
#include "completion_script.h"
#include "render.h"

namespace ckp::tool {
namespace {

class Completion : public Command {
 public:
  Completion()
      : Command("completion",
                "Print a script that lets the shell complete commands, options, runs and aliases",
                "ckptool completion bash > ~/.local/share/bash-completion/completions/ckptool\n"
                "source <(ckptool completion bash)") {}

 private:
  void declare() override {
    positional("SHELL", "bash or zsh; an install has both scripts in place");
    // For the scripts: STORE stands in the place of SHELL.
    flag("--names", names_, "Print the runs and aliases of a store")->group("");
  }

  ExitCode run(Context& context) override {
    const std::vector<std::string> given = arguments();
    if (names_) {
      context.output.text(names_in(context, given));
      return ExitCode::ok;
    }
    if (given.empty()) throw UsageError("SHELL is missing: bash or zsh");
    const CLI::App& program = *app()->get_parent();
    if (given[0] != "bash" && given[0] != "zsh") {
      throw UsageError(fmt::format("SHELL {}: expected bash or zsh", printable(given[0])));
    }
    const std::string script =
        given[0] == "bash" ? bash_completion(program) : zsh_completion(program);
    print(context, {{"shell", given[0]}, {"script", script}}, script);
    return ExitCode::ok;
  }

  // One a line.
  static std::string names_in(Context& context, const std::vector<std::string>& given) {
    const StoreArgument found = find_store(given, "", 0, *context.file_system);
    const OpenedStore store(context, found.path);
    std::string text;
    for (const RunRecord& run : store.runs()) text += printable(run.name) + "\n";
    for (const auto& [alias, change] : current_aliases(store.alias_history())) {
      text += "@" + alias + "\n";
    }
    return text;
  }

  bool names_ = false;
};

}  // namespace

std::unique_ptr<Command> make_completion() { return std::make_unique<Completion>(); }

}  // namespace ckp::tool

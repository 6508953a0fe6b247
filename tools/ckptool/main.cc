// ckptool: lists, verifies, prunes and converts checkpoints.
#include <fmt/format.h>

#include <csignal>
#include <cstring>
#include <exception>
#include <iostream>
#include <sstream>

#include "command.h"
#include "man.h"
#include "render.h"

namespace ckp::tool {
namespace {

class Program {
 public:
  explicit Program(Output& output) : output_(output), commands_(all_commands()) {
    app_.name("ckptool");
    app_.set_version_flag("--version", std::string("ckptool ") + CKP_VERSION);
    // For the build, which makes the manual page with it.
    app_.add_flag("--man", man_, "Print the manual page as roff")->group("");
    app_.footer(
        "Run ckptool COMMAND --help for its options and an example.\n"
        "Example:\n  ckptool ls ./store cnn-lr3\n"
        "Exit status: 0 success, 1 error, 2 wrong usage, 3 partly done, 4 damage found, 10 no "
        "store,\n  11 locked by somebody else, 12 written by a newer version, 130 interrupted\n");
    for (const auto& command : commands_) command->attach(app_);
    // One at most: then a run may have a command's name.
    app_.require_subcommand(0, 1);
  }

  ExitCode run(int argc, char** argv) {
    // Until the arguments are parsed, whether an error shall be JSON is seen in them alone.
    for (int i = 1; i < argc; ++i) json_ = json_ || std::strcmp(argv[i], "--json") == 0;
    try {
      return parse_and_execute(argc, argv);
    } catch (const NoStore& error) {
      return fail(ExitCode::no_store, "no_store", error.what());
    } catch (const Error& error) {
      return fail(exit_code(error.code()), to_string(error.code()), error.what());
    } catch (const UsageError& error) {
      return fail(ExitCode::usage, "usage", with_hint(error.what()));
    } catch (const std::bad_alloc&) {
      return fail(ExitCode::error, "out_of_memory", "out of memory");
    } catch (const std::exception& error) {
      return fail(ExitCode::error, "internal", error.what());
    }
  }

 private:
  ExitCode parse_and_execute(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::Success& asked) {
      std::ostringstream text;
      app_.exit(asked, text, text);
      output_.text(text.str());
      return ExitCode::ok;
    } catch (const CLI::ParseError& error) {
      throw UsageError(error.what());
    }
    if (man_) {
      output_.text(manual_page(app_, CKP_VERSION));
      return ExitCode::ok;
    }
    Command* const command = chosen();
    if (command == nullptr) throw UsageError("a command is missing");
    json_ = command->json();
    Context context{output_, posix_file_system()};
    return command->execute(context);
  }

  Command* chosen() const {
    for (const auto& command : commands_) {
      if (command->app()->parsed()) return command.get();
    }
    return nullptr;
  }

  std::string with_hint(const std::string& message) const {
    const Command* const command = chosen();
    const std::string name = command == nullptr ? "" : " " + command->app()->get_name();
    return fmt::format("{}; see: ckptool{} --help", message, name);
  }

  ExitCode fail(ExitCode code, std::string_view name, const std::string& message) {
    if (json_) output_.text(document({{"error", {{"code", name}, {"message", message}}}}));
    // What was found before the error comes first.
    output_.flush();
    complain(message);
    return code;
  }

  Output& output_;
  std::vector<std::unique_ptr<Command>> commands_;
  CLI::App app_{"keeps, checks, prunes and converts checkpoints of training runs"};
  bool man_ = false;
  bool json_ = false;
};

ExitCode run_program(int argc, char** argv) {
  // A reader that closes its end (`| head`) is met as EPIPE, see Output.
  std::signal(SIGPIPE, SIG_IGN);
  // A file size limit is met as an error of the write, not by dying.
  std::signal(SIGXFSZ, SIG_IGN);
  Output output(1);
  const ExitCode code = Program(output).run(argc, argv);
  if (output.flush()) return code;
  complain(fmt::format("standard output: {}", std::strerror(errno)));
  return code == ExitCode::ok ? ExitCode::error : code;
}

}  // namespace
}  // namespace ckp::tool

int main(int argc, char** argv) { return static_cast<int>(ckp::tool::run_program(argc, argv)); }

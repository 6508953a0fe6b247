// ckptool init: makes an empty store.
#include <fmt/format.h>

#include "command.h"
#include "render.h"

namespace ckp::tool {
namespace {

class Init : public Command {
 public:
  Init() : Command("init", "Make an empty store", "ckptool init ./store") {}

 private:
  void declare() override { positional("STORE", "The directory to make; its parent must exist"); }

  ExitCode run(Context& context) override {
    const std::vector<std::string> given = arguments();
    check_count(given, 1, 1, "STORE");
    const Store store = Store::create(given[0], {.file_system = context.file_system});
    for (const std::string& note : store.notes()) complain("note: " + note);
    const std::string text =
        quiet() ? "" : fmt::format("made the store {}\n", printable(store.path().string()));
    print(context, {{"store", store.path().string()}, {"uuid", store.uuid().hex()}}, text);
    return ExitCode::ok;
  }
};

}  // namespace

std::unique_ptr<Command> make_init() { return std::make_unique<Init>(); }

}  // namespace ckp::tool

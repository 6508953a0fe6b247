// ckptool import: takes a standalone .ckp file into a store.
#include <fmt/format.h>

#include "command.h"
#include "facts.h"
#include "render.h"
#include "source.h"

namespace ckp::tool {
namespace {

class Import : public Command {
 public:
  Import()
      : Command("import", "Take a standalone .ckp file into a store; the file stays",
                "ckptool import ./store model.ckp --run pretrained") {}

 private:
  void declare() override {
    store_positional();
    positional("FILE", "A standalone .ckp file");
    option(
        "--run", "RUN", run_,
        "The new run to put it in: none with a checkpoint may have that name; left out: the name "
        "in the file, or the file's name");
  }

  ExitCode run(Context& context) override {
    const StoreArgument found = find(context);
    const std::string& file = found.rest[0];
    // Refuses other kinds of file with the command that converts them.
    open_checkpoint_file(file, context);
    OpenedStore store(context, found.path);
    const CheckpointRecord taken = store.import_file(file, {.run = run_});
    print(context, to_json(taken),
          quiet() ? "" : fmt::format("imported {} as {}\n", printable(file), address_text(taken)));
    return ExitCode::ok;
  }

  // A single argument with a '/' is the file, not the store.
  StoreArgument find(Context& context) const {
    const std::vector<std::string> given = arguments();
    if (given.size() == 1 && means_file(given[0], *context.file_system)) {
      StoreArgument found = find_store({}, store_option(), 0, *context.file_system);
      found.rest = given;
      return found;
    }
    return store_and_rest(context, 1, 1, "FILE");
  }

  std::string run_;
};

}  // namespace

std::unique_ptr<Command> make_import() { return std::make_unique<Import>(); }

}  // namespace ckp::tool

// ckptool artifacts: the files that were saved with a checkpoint.
#include "ckp/artifacts.h"

#include "artifact_text.h"
#include "command.h"
#include "render.h"
#include "source.h"

namespace ckp::tool {
namespace {

class Artifacts : public Command {
 public:
  Artifacts()
      : Command("artifacts",
                "List the files that were saved with a checkpoint: name, size, XXH3-128; extract "
                "writes them out",
                "ckptool artifacts ./store cnn-lr3@best\n"
                "ckptool artifacts model.ckp") {}

 private:
  void declare() override {
    store_positional();
    positional("ADDRESS", "The checkpoint: RUN[@WHICH], @ALIAS or a .ckp file");
  }

  ExitCode run(Context& context) override {
    const std::vector<std::string> given = arguments();
    if (given.size() == 1 && store_option().empty() && means_file(given[0], *context.file_system)) {
      list(context, open_checkpoint_file(given[0], context));
      return ExitCode::ok;
    }
    const StoreArgument found = store_and_rest(context, 1, 1, "ADDRESS");
    const OpenedStore store(context, found.path);
    list(context, open_address(store, found.rest[0], Read::description));
    return ExitCode::ok;
  }

  void list(Context& context, const Checkpoint& checkpoint) const {
    const std::vector<Artifact> artifacts = artifacts_of(checkpoint);
    std::string text = artifacts_table(artifacts);
    if (text.empty() && !quiet()) text = "no artifacts\n";
    print(context, {{"artifacts", to_json(artifacts)}}, text);
  }
};

}  // namespace

std::unique_ptr<Command> make_artifacts() { return std::make_unique<Artifacts>(); }

}  // namespace ckp::tool

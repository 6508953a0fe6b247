// ckptool note: writes down what people should know about a checkpoint or a run.
#include <fmt/format.h>

#include <algorithm>

#include "command.h"
#include "render.h"
#include "source.h"

namespace ckp::tool {
namespace {

class Note : public Command {
 public:
  Note()
      : Command("note",
                "Write a note on a checkpoint, or on a run; show prints it, with who wrote it and "
                "when",
                "ckptool note ./store cnn-lr3@best \"the one of the paper\"\n"
                "ckptool note ./store cnn-lr3 \"the data had duplicates\"") {}

 private:
  void declare() override {
    store_positional();
    positional("ADDRESS", "RUN for the run itself; RUN@WHICH or @ALIAS for a checkpoint");
    positional("TEXT", "The note");
  }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 2, 2, "ADDRESS and TEXT");
    const std::string &address = found.rest[0], &text = found.rest[1];
    OpenedStore store(context, found.path);
    if (address.find('@') == std::string::npos) {
      const RunRecord noted = store.note(store.run(address), text);
      tell(context, to_json(noted), "run " + printable(noted.name), noted.later);
    } else {
      const Checkpoint checkpoint = open_address(store, address, Read::description);
      const CheckpointRecord noted = store.note(checkpoint.record(), text);
      tell(context, to_json(noted), address_text(noted), noted.later);
    }
    return ExitCode::ok;
  }

  void tell(Context& context, const Json& json, const std::string& about,
            const std::vector<LaterFact>& later) const {
    const auto count = std::ranges::count(later, LaterFact::Kind::note, &LaterFact::kind);
    print(context, json, quiet() ? "" : fmt::format("{}: noted ({} in all)\n", about, count));
  }
};

}  // namespace

std::unique_ptr<Command> make_note() { return std::make_unique<Note>(); }

}  // namespace ckp::tool

// ckptool rebuild-index: makes the index anew from packs and journals.
#include <fmt/format.h>

#include "command.h"
#include "render.h"

namespace ckp::tool {
namespace {

class RebuildIndex : public Command {
 public:
  RebuildIndex()
      : Command("rebuild-index", "Make the index anew from packs and journals",
                "ckptool rebuild-index ./store") {}

 private:
  void declare() override { store_positional(); }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 0, 0, "");
    OpenedStore store(context, found.path);
    const Store::RebuildReport report = store.rebuild_index();
    const std::string text =
        quiet() ? ""
                : fmt::format("index rebuilt: {}, {}, {}\n", counted(report.runs, "run"),
                              counted(report.checkpoints, "checkpoint"),
                              counted(report.chunks, "chunk"));
    print(context,
          {{"runs", report.runs},
           {"checkpoints", report.checkpoints},
           {"chunks", report.chunks},
           {"unreadable", report.unreadable}},
          text);
    if (report.unreadable.empty()) return ExitCode::ok;
    for (const std::string& one : report.unreadable) complain(printable(one));
    complain(fmt::format("{} could not be read and stand in no list; next: ckptool verify {}",
                         counted(report.unreadable.size(), "checkpoint"),
                         shell_word(found.path.string())));
    return ExitCode::damage;
  }
};

}  // namespace

std::unique_ptr<Command> make_rebuild_index() { return std::make_unique<RebuildIndex>(); }

}  // namespace ckp::tool

// ckptool bisect: where in a run something began.
#include <fmt/format.h>

#include <set>

#include "ckp/history.h"
#include "ckp/query.h"
#include "command.h"
#include "interrupt.h"
#include "progress.h"
#include "render.h"
#include "tensor_text.h"

namespace ckp::tool {
namespace {

Json optional_record(const std::optional<CheckpointRecord>& record) {
  return record.has_value() ? to_json(*record) : Json(nullptr);
}

Json bad_tensors_json(const FirstNonfinite& found) {
  Json tensors = Json::array();
  for (const NonfiniteTensor& tensor : found.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"dtype", std::string(to_string(tensor.type.dtype))},
                       {"shape", tensor.type.shape},
                       {"first", to_json(tensor.first)}});
  }
  return tensors;
}

std::string line_of(std::string_view what, const CheckpointRecord& record) {
  return fmt::format("{}  {}, epoch {}, step {}\n", what, printable(address_text(record)),
                     record.epoch, record.step);
}

std::string answer_text(const FirstNonfinite& found) {
  std::string text;
  if (found.checkpoint.has_value()) {
    text += line_of("first    ", *found.checkpoint);
  } else {
    text += fmt::format("no NaN and no infinity in {}{}\n",
                        counted(found.checkpoints_read, "checkpoint"),
                        found.complete ? "" : ", which are not all");
  }
  text += found.last_good.has_value() ? line_of("last good", *found.last_good)
                                      : std::string("last good  none\n");
  if (found.tensors.empty()) return text;
  Table table({{"TENSOR"}, {"TYPE"}, {"FIRST"}, {"ELEMENT", Table::Align::right}});
  for (const NonfiniteTensor& tensor : found.tensors) {
    table.add({printable(tensor.name), type_text(tensor.type), nonfinite_text(tensor.first),
               grouped(tensor.first.number)});
  }
  return text + "\n" + table.text();
}

class Bisect : public Command {
 public:
  Bisect()
      : Command("bisect",
                "Find the first checkpoint of a run with a NaN or an infinity in a tensor",
                "ckptool bisect ./store cnn-lr3 --first-nan\n"
                "ckptool bisect ./store cnn-lr3 --first-nan --tensor 'model/*'") {}

 private:
  void declare() override {
    store_positional();
    positional("RUN", "A run's name or the beginning of its id; its current line is searched");
    flag("--first-nan", first_nan_,
         "What to look for. Every checkpoint is looked at, first to last: a NaN may come and go. "
         "Exit status 0 also when there is none, 4 when damage makes the answer uncertain");
    option("--tensor", "PATTERN", tensor_,
           "Only these tensors: a name, what begins with it (model), or with * and ?");
  }

  ExitCode run(Context& context) override {
    if (!first_nan_) throw UsageError("what to look for is missing: --first-nan");
    const Interrupt interrupt;
    const StoreArgument given = store_and_rest(context, 1, 1, "RUN");
    const OpenedStore store(context, given.path);
    const RunRecord run = store.run(given.rest[0]);
    tell_missing(store, run);
    const FirstNonfinite found = find(store, run, interrupt);
    print(context,
          {{"store", given.path.string()},
           {"run", run.name},
           {"complete", found.complete},
           {"first", optional_record(found.checkpoint)},
           {"tensors", bad_tensors_json(found)},
           {"last_good", optional_record(found.last_good)},
           {"checkpoints_read", found.checkpoints_read},
           {"bytes_read", found.bytes_read},
           {"damage", found.damage}},
          answer_text(found));
    context.output.flush();
    for (const std::string& each : found.damage) complain(each);
    if (!found.complete) return ExitCode::interrupted;
    if (found.damage.empty()) return ExitCode::ok;
    complain("what could not be read may have the first one");
    return ExitCode::damage;
  }

  FirstNonfinite find(const Store& store, const RunRecord& run, const Interrupt& interrupt) const {
    Progress progress("bisect", quiet());
    HistoryOptions options;
    options.only = tensor_;
    options.progress = [&](const VerifyProgress& now) {
      progress.update(now.bytes_done, now.bytes_total);
    };
    options.cancelled = [&] { return interrupt.raised(); };
    return find_first_nonfinite(store, current_line(run, store.checkpoints(run.id)), options);
  }

  bool first_nan_ = false;
  std::string tensor_;
};

}  // namespace

std::unique_ptr<Command> make_bisect() { return std::make_unique<Bisect>(); }

}  // namespace ckp::tool

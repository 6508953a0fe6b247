// ckptool drift: how tensors move from checkpoint to checkpoint of a run.
#include <fmt/format.h>

#include <algorithm>
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

using StepKind = TensorStep::Kind;

std::string_view kind_text(StepKind kind) {
  switch (kind) {
    case StepKind::first:
      return "first";
    case StepKind::unchanged:
      return "unchanged";
    case StepKind::changed:
      return "changed";
    case StepKind::other_type:
      return "other type";
    case StepKind::absent:
      return "absent";
    case StepKind::unreadable:
      return "unreadable";
  }
  return "";
}

std::string text_of(const std::optional<double>& number) {
  return number.has_value() ? number_text(*number) : "-";
}

Json tensor_json(const TensorStep& step) {
  Json json = {{"name", step.name}, {"change", kind_text(step.kind)}};
  if (!step.damage.empty()) json["damage"] = step.damage;
  if (!step.type.has_value()) return json;
  json["dtype"] = std::string(ckp::to_string(step.type->dtype));
  json["shape"] = step.type->shape;
  if (step.kind == StepKind::unreadable) return json;
  json["elements"] = step.elements;
  json["changed"] = step.changed;
  json["nonfinite"] = step.nonfinite;
  json["norm"] = to_json(step.norm);
  json["norm_change"] = to_json(step.norm_change);
  json["max_change"] = to_json(step.max_change);
  json["relative"] = to_json(step.relative);
  return json;
}

Json step_json(const DriftStep& step) {
  Json json = {{"id", step.checkpoint.id.hex()},
               {"commit", step.checkpoint.commit},
               {"epoch", step.checkpoint.epoch},
               {"step", step.checkpoint.step}};
  if (!step.damage.empty()) json["damage"] = step.damage;
  json["tensors"] = Json::array();
  for (const TensorStep& tensor : step.tensors) json["tensors"].push_back(tensor_json(tensor));
  return json;
}

std::string note_of(const TensorStep& step) {
  std::vector<std::string> notes;
  if (step.kind == StepKind::other_type) notes.push_back("now " + type_text(*step.type));
  if (step.nonfinite != 0) {
    notes.push_back(fmt::format("{} NaN or infinite", grouped(step.nonfinite)));
  }
  return join(notes);
}

std::string report_text(const DriftReport& report) {
  Table table({{"CHECKPOINT"},
               {"EPOCH", Table::Align::right},
               {"STEP", Table::Align::right},
               {"TENSOR"},
               {"CHANGE"},
               {"NORM", Table::Align::right},
               {"RELATIVE", Table::Align::right},
               {"LARGEST", Table::Align::right},
               {"ELEMENTS", Table::Align::right},
               {"NOTE"}});
  for (const DriftStep& step : report.steps) {
    const CheckpointRecord& record = step.checkpoint;
    const std::vector<std::string> place{short_id(record.id), std::to_string(record.epoch),
                                         std::to_string(record.step)};
    const auto add = [&](const std::vector<std::string>& cells) {
      std::vector<std::string> row = place;
      row.insert(row.end(), cells.begin(), cells.end());
      table.add(std::move(row));
    };
    if (!step.damage.empty()) add({"", "unreadable", "", "", "", "", ""});
    for (const TensorStep& tensor : step.tensors) {
      const bool compared = tensor.kind == StepKind::changed || tensor.kind == StepKind::unchanged;
      const bool measured =
          compared || tensor.kind == StepKind::first || tensor.kind == StepKind::other_type;
      add({printable(tensor.name), std::string(kind_text(tensor.kind)),
           measured ? text_of(tensor.norm) : "", compared ? text_of(tensor.relative) : "",
           compared ? text_of(tensor.max_change) : "",
           compared ? fmt::format("{} of {}", grouped(tensor.changed), grouped(tensor.elements))
                    : "",
           note_of(tensor)});
    }
  }
  return table.empty() ? "no checkpoints\n" : table.text();
}

std::set<std::string> damage_in(const DriftReport& report) {
  std::set<std::string> damage;
  for (const DriftStep& step : report.steps) {
    if (!step.damage.empty()) damage.insert(step.damage);
    for (const TensorStep& tensor : step.tensors) {
      if (!tensor.damage.empty()) damage.insert(tensor.damage);
    }
  }
  return damage;
}

class DriftCommand : public Command {
 public:
  DriftCommand()
      : Command("drift", "Show how tensors move from checkpoint to checkpoint of a run",
                "ckptool drift ./store cnn-lr3 model/fc1.weight\n"
                "ckptool drift ./store cnn-lr3 'model/*.weight' --json") {}

 private:
  void declare() override {
    store_positional();
    positional("RUN", "A run's name or the beginning of its id; its current line is followed");
    positional("TENSOR", "Tensors: a name, what begins with it (model), or with * and ?");
  }

  ExitCode run(Context& context) override {
    const Interrupt interrupt;
    const StoreArgument found = store_and_rest(context, 2, 2, "RUN or TENSOR");
    const OpenedStore store(context, found.path);
    const RunRecord run = store.run(found.rest[0]);
    tell_missing(store, run);
    const DriftReport report = take(store, run, found.rest[1], interrupt);
    const std::set<std::string> damage = damage_in(report);
    Json steps = Json::array();
    for (const DriftStep& step : report.steps) steps.push_back(step_json(step));
    print(context,
          {{"store", found.path.string()},
           {"run", run.name},
           {"tensor", found.rest[1]},
           {"complete", report.complete},
           {"checkpoints", steps},
           {"damage", damage}},
          report_text(report));
    context.output.flush();
    for (const std::string& each : damage) complain(each);
    if (!report.complete) return ExitCode::interrupted;
    return damage.empty() ? ExitCode::ok : ExitCode::damage;
  }

  DriftReport take(const Store& store, const RunRecord& run, const std::string& tensor,
                   const Interrupt& interrupt) const {
    Progress progress("drift", quiet());
    HistoryOptions options;
    options.only = tensor;
    options.progress = [&](const VerifyProgress& now) {
      progress.update(now.bytes_done, now.bytes_total);
    };
    options.cancelled = [&] { return interrupt.raised(); };
    return drift(store, current_line(run, store.checkpoints(run.id)), options);
  }
};

}  // namespace

std::unique_ptr<Command> make_drift() { return std::make_unique<DriftCommand>(); }

}  // namespace ckp::tool

// ckptool repair: puts right what verify finds.
#include "ckp/repair.h"

#include <fmt/format.h>

#include <algorithm>

#include "command.h"
#include "interrupt.h"
#include "progress.h"
#include "render.h"

namespace ckp::tool {
namespace {

// "epoch 3, step 40 of run cnn".
std::string whose(const RepairStep& step) {
  std::string text;
  if (step.epoch >= 0) text = fmt::format("epoch {}, step {}", step.epoch, step.step);
  if (!step.run.empty()) text += (text.empty() ? "" : " of ") + ("run " + printable(step.run));
  return text;
}

std::string missing_names(const std::vector<std::string>& missing) {
  constexpr std::size_t shown = 5;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < missing.size() && i < shown; ++i)
    names.push_back(printable(missing[i]));
  std::string text = join(names);
  if (missing.size() > shown) text += fmt::format(" and {} more", missing.size() - shown);
  return text;
}

std::string salvage_text(const RepairStep& step) {
  const std::string now = step.salvaged.empty() ? "" : fmt::format(" ({})", step.salvaged);
  const std::string saved = step.tensors_saved == 0
                                ? "no tensor is undamaged; its other values"
                                : counted(step.tensors_saved, "undamaged tensor");
  return fmt::format("salvage: {} into a new checkpoint{}; missing: {}", saved, now,
                     missing_names(step.missing));
}

// What is done about it.
std::string cure(const RepairStep& step) {
  switch (step.action) {
    case RepairAction::rewrite_identity:
      return "write it anew";
    case RepairAction::make_runs:
      return "make the directory anew, empty; the next repair takes the lost checkpoints out of "
             "the index";
    case RepairAction::put_back:
      return "put it back";
    case RepairAction::rebuild_index:
      return "make the index anew from packs and journals";
    case RepairAction::mend_marks:
      return step.restores
                 ? "write it anew from its other copy"
                 : "make it anew, empty: every alias, later tag, metric and note is lost; "
                   "say it again with: ckptool promote, tag, metric, note";
    case RepairAction::mend_journal:
      return step.restores ? "write its header anew; no record is lost"
                           : "keep every readable record, and mark the others as lost";
    case RepairAction::mend_pack:
      if (step.chunks_mended == 0) return "write it anew from its own undamaged chunks";
      return fmt::format("write it anew with {} from identical ones elsewhere in the store",
                         counted(step.chunks_mended, "chunk"));
    case RepairAction::salvage:
      return salvage_text(step);
    case RepairAction::keep_chunks:
      return "its description is lost, and the checkpoint with it; keep its undamaged chunks for "
             "others that may need them";
    case RepairAction::forget:
      return "nothing is left to save; take the checkpoint out of the index";
    case RepairAction::set_aside:
      return "set it aside";
    case RepairAction::leave:
      return "left as it is";
  }
  return "";
}

Json step_json(const RepairStep& step) {
  const auto number = [](std::int64_t value) { return value < 0 ? Json(nullptr) : Json(value); };
  return {{"action", to_string(step.action)},
          {"file", step.path},
          {"run", step.run},
          {"checkpoint", step.checkpoint},
          {"epoch", number(step.epoch)},
          {"step", number(step.step)},
          {"chunks_mended", step.chunks_mended},
          {"chunks_lost", step.chunks_lost},
          {"tensors_saved", step.tensors_saved},
          {"missing", step.missing},
          {"salvaged", step.salvaged},
          {"damage", step.damage},
          {"restores", step.restores},
          {"message", step.message}};
}

class Repair : public Command {
 public:
  Repair()
      : Command("repair",
                "Mend or salvage what verify finds damaged; originals are kept in set-aside/",
                "ckptool repair ./store --dry-run\n"
                "ckptool repair ./store") {}

 private:
  void declare() override {
    store_positional();
    flag("--dry-run,-n", dry_run_, "Say what would be done, and change nothing");
    flag("--exclusive", exclusive_,
         "Nobody else, on any host, uses the store: needed on network file systems");
    flag("--full", full_, "Look for damage by decoding every chunk");
  }

  ExitCode run(Context& context) override {
    const std::filesystem::path path = find_damaged_store(context);
    Interrupt interrupt;
    RepairOptions options;
    options.level = full_ ? VerifyLevel::full : VerifyLevel::stored;
    options.exclusive = exclusive_;
    options.cancelled = [&] { return interrupt.raised(); };
    const StoreOptions store{.file_system = context.file_system};
    RepairReport report;
    {
      Progress progress("repair", quiet());
      options.progress = [&](const VerifyProgress& now) {
        progress.update(now.bytes_done, now.bytes_total);
      };
      report = dry_run_ ? plan_repair(path, options, store) : repair(path, options, store);
    }
    print(context, report_json(report), report_text(report, path.string()));
    return code_of(report);
  }

  // Also one that has lost its file STORE, when it is named.
  std::filesystem::path find_damaged_store(Context& context) const {
    const std::vector<std::string> given = arguments();
    const std::string named = !store_option().empty() ? store_option()
                              : given.size() == 1     ? given[0]
                                                      : std::string();
    if (!named.empty() && can_repair(named, *context.file_system)) return named;
    return store_and_rest(context, 0, 0, "").path;
  }

  ExitCode code_of(const RepairReport& report) const {
    if (!report.complete) return ExitCode::interrupted;
    if (report.nothing_to_do()) return ExitCode::ok;
    const bool damaged = std::any_of(report.steps.begin(), report.steps.end(),
                                     [](const RepairStep& step) { return step.damage; });
    if (dry_run_ && damaged) return ExitCode::damage;
    const bool done = report.restores_all() && !report.repair_again();
    return done ? ExitCode::ok : ExitCode::partly_done;
  }

  Json report_json(const RepairReport& report) const {
    Json steps = Json::array();
    for (const RepairStep& step : report.steps) steps.push_back(step_json(step));
    return {{"dry_run", dry_run_},
            {"complete", report.complete},
            {"steps", steps},
            {"restores_all", report.restores_all()},
            {"repair_again", report.repair_again()},
            {"set_aside", report.set_aside},
            {"bytes_set_aside", report.bytes_set_aside}};
  }

  std::string report_text(const RepairReport& report, const std::string& store) const {
    if (!report.complete) return "interrupted; nothing was changed\n";
    std::string text;
    for (const RepairStep& step : report.steps) {
      text +=
          fmt::format("{}: {}\n", step.damage ? "damage" : "not checked", printable(step.message));
      if (const std::string owner = whose(step); !owner.empty()) text += "  " + owner + "\n";
      text += fmt::format("  {}: {}\n", dry_run_ ? "would" : "done", cure(step));
    }
    if (quiet()) return text;
    if (report.nothing_to_do()) return text + "nothing to repair\n";
    if (report.repair_again()) {
      text +=
          "damage is looked for when everything is in its place: by the repair after this one\n";
    }
    if (dry_run_ && report.can_do_nothing()) {
      return text + fmt::format(
                        "repair can change nothing here; do what is said above, then: "
                        "ckptool verify {}{}\n",
                        shell_word(store), level());
    }
    if (dry_run_) {
      return text + fmt::format("nothing was changed; next: ckptool repair {}{}{}\n",
                                shell_word(store), level(), exclusive_ ? " --exclusive" : "");
    }
    if (!report.set_aside.empty()) {
      text += fmt::format("the originals ({}) are in {}\n", human_size(report.bytes_set_aside),
                          printable(report.set_aside));
    }
    return text + fmt::format("next: ckptool {} {}{}\n",
                              report.repair_again() ? "repair" : "verify", shell_word(store),
                              level());
  }

  // What was looked for closely is to be looked for so again.
  std::string_view level() const { return full_ ? " --full" : ""; }

  bool dry_run_ = false;
  bool full_ = false;
  bool exclusive_ = false;
};

}  // namespace

std::unique_ptr<Command> make_repair() { return std::make_unique<Repair>(); }

}  // namespace ckp::tool

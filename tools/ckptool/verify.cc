// ckptool verify: checks what is on disk.
#include <fmt/format.h>

#include "ckp/verify.h"
#include "command.h"
#include "interrupt.h"
#include "progress.h"
#include "render.h"
#include "source.h"

namespace ckp::tool {
namespace {

std::string_view level_name(VerifyLevel level) {
  switch (level) {
    case VerifyLevel::structure:
      return "structure";
    case VerifyLevel::stored:
      return "stored";
    case VerifyLevel::full:
      return "full";
  }
  return "unknown";
}

// "run cnn, epoch 3, step 40, tensor model/fc1.weight (and 2 more), chunk 17, offset 4096".
std::string place_of(const Finding& finding) {
  std::vector<std::string> parts;
  if (!finding.run.empty()) parts.push_back("run " + printable(finding.run));
  if (finding.epoch >= 0) parts.push_back(fmt::format("epoch {}", finding.epoch));
  if (finding.step >= 0) parts.push_back(fmt::format("step {}", finding.step));
  if (!finding.tensor.empty()) {
    std::string tensor = "tensor " + printable(finding.tensor);
    if (finding.more_tensors > 0) tensor += fmt::format(" (and {} more)", finding.more_tensors);
    parts.push_back(std::move(tensor));
  }
  if (finding.chunk >= 0) parts.push_back(fmt::format("chunk {}", finding.chunk));
  if (finding.offset >= 0) parts.push_back(fmt::format("offset {}", finding.offset));
  return join(parts);
}

// The command to type next; `store` is empty for a file by itself.
std::string next_command(const Finding& finding, const std::string& store) {
  if (store.empty()) return "";
  const std::optional<Uuid> id = Uuid::from_hex(finding.checkpoint);
  if (!finding.run.empty() && id.has_value()) {
    return fmt::format("ckptool rm {} {}", shell_word(store),
                       shell_word(finding.run + "@" + short_id(*id)));
  }
  if (!finding.run.empty()) {
    return fmt::format("ckptool ls {} {}", shell_word(store), shell_word(finding.run));
  }
  if (finding.path.find("index") != std::string::npos) {
    return "ckptool rebuild-index " + shell_word(store);
  }
  return "ckptool runs " + shell_word(store);
}

std::string advice_of(const Finding& finding, const std::string& store) {
  const std::string command = next_command(finding, store);
  if (command.empty()) return "put back a copy of the file";
  if (finding.checkpoint.empty()) return "next: " + command;
  return fmt::format("put back a copy of the file, or give the checkpoint up: {}", command);
}

// The message without the path that stands above it already.
std::string_view message_of(const Finding& finding) {
  std::string_view message = finding.message;
  const std::string prefix = finding.path + ": ";
  if (message.starts_with(prefix)) message.remove_prefix(prefix.size());
  return message;
}

std::string finding_text(const Finding& finding, const std::string& store) {
  std::string text = fmt::format("damage: {}\n", printable(finding.path));
  if (const std::string place = place_of(finding); !place.empty()) text += "  " + place + "\n";
  text += "  " + printable(message_of(finding)) + "\n";
  if (finding.other_checkpoints > 0) {
    text += fmt::format("  {} with the same chunk\n",
                        counted(finding.other_checkpoints, "other checkpoint"));
  }
  return text + "  " + advice_of(finding, store) + "\n";
}

Json finding_json(const Finding& finding, const std::string& store) {
  const auto number = [](std::int64_t value) { return value < 0 ? Json(nullptr) : Json(value); };
  return {{"file", finding.path},
          {"run", finding.run},
          {"checkpoint", finding.checkpoint},
          {"epoch", number(finding.epoch)},
          {"step", number(finding.step)},
          {"tensor", finding.tensor},
          {"more_tensors", finding.more_tensors},
          {"chunk", number(finding.chunk)},
          {"offset", number(finding.offset)},
          {"other_checkpoints", finding.other_checkpoints},
          {"message", finding.message},
          {"next", next_command(finding, store)}};
}

class Verify : public Command {
 public:
  Verify()
      : Command("verify", "Check a store or a file; the default checks every stored byte",
                "ckptool verify ./store --full\n"
                "ckptool verify model.ckp") {}

 private:
  void declare() override {
    store_positional(
        "The store, or one .ckp file; left out: --store, $CKPSTORE, or upward from here");
    CLI::Option* const structure =
        flag("--structure", structure_, "Only headers, tables, manifests, journals and references");
    flag("--full", full_, "Also decode every chunk and check its digest")->excludes(structure);
  }

  ExitCode run(Context& context) override {
    const std::vector<std::string> given = arguments();
    const bool one_file =
        given.size() == 1 && store_option().empty() && means_file(given[0], *context.file_system);
    Interrupt interrupt;
    Progress progress("verify", quiet());
    VerifyOptions options;
    options.level = structure_ ? VerifyLevel::structure
                    : full_    ? VerifyLevel::full
                               : VerifyLevel::stored;
    options.progress = [&](const VerifyProgress& now) {
      progress.update(now.bytes_done, now.bytes_total);
    };
    options.cancelled = [&] { return interrupt.raised(); };
    if (one_file) {
      check_is_there(given[0], context);
      return show(context, verify_file(given[0], options), options.level, "");
    }
    const StoreArgument found = store_and_rest(context, 0, 0, "");
    const Store store = Store::open(found.path, {.file_system = context.file_system});
    return show(context, store.verify(options), options.level, found.path.string());
  }

  static void check_is_there(const std::string& path, Context& context) {
    if (is_file(path, *context.file_system)) return;
    throw Error(ErrorCode::not_found, fmt::format("{}: no such file", printable(path)));
  }

  ExitCode show(Context& context, const VerifyReport& report, VerifyLevel level,
                const std::string& store) {
    print(context, report_json(report, level, store), report_text(report, level, store));
    if (!report.findings.empty()) return ExitCode::damage;
    return report.complete ? ExitCode::ok : ExitCode::interrupted;
  }

  std::string report_text(const VerifyReport& report, VerifyLevel level,
                          const std::string& store) const {
    std::string text;
    for (const Finding& finding : report.findings) text += finding_text(finding, store);
    if (quiet()) return text;
    for (const std::string& note : report.notes) text += "note: " + printable(note) + "\n";
    text += fmt::format("{} {} (level {}): ", report.complete ? "checked" : "interrupted after",
                        human_size(report.bytes), level_name(level));
    if (!store.empty()) {
      text += fmt::format("{}, {}, ", counted(report.runs, "run"),
                          counted(report.checkpoints, "checkpoint"));
    }
    text += fmt::format("{}, {}: ", counted(report.packs, "pack"), counted(report.chunks, "chunk"));
    return text + (report.findings.empty()
                       ? "no damage found\n"
                       : counted(report.findings.size(), "piece") + " of damage\n");
  }

  static Json report_json(const VerifyReport& report, VerifyLevel level, const std::string& store) {
    Json findings = Json::array();
    for (const Finding& finding : report.findings) findings.push_back(finding_json(finding, store));
    return {{"clean", report.clean()},
            {"complete", report.complete},
            {"level", level_name(level)},
            {"findings", findings},
            {"notes", report.notes},
            {"runs", report.runs},
            {"checkpoints", report.checkpoints},
            {"packs", report.packs},
            {"chunks", report.chunks},
            {"bytes", report.bytes}};
  }

  bool structure_ = false;
  bool full_ = false;
};

}  // namespace

std::unique_ptr<Command> make_verify() { return std::make_unique<Verify>(); }

}  // namespace ckp::tool

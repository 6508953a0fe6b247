#include "verify_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "render.h"

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

// The command to type next.
std::string next_command(const Finding& finding, VerifyLevel level, const std::string& store) {
  if (store.empty()) return "";
  if (finding.index) return "ckptool rebuild-index " + shell_word(store);
  if (finding.alias) return "ckptool aliases " + shell_word(store);
  // Damage that only decoding shows is not seen by a repair that does not decode.
  return fmt::format("ckptool repair {} --dry-run{}", shell_word(store),
                     level == VerifyLevel::full ? " --full" : "");
}

// What to do about all of it, once.
std::string advice(const VerifyReport& report, VerifyLevel level, const std::string& store) {
  if (report.findings.empty()) return "";
  if (store.empty()) return "put back a copy of the file\n";
  const auto first_of = [&](const auto& is_one) {
    return std::find_if(report.findings.begin(), report.findings.end(), is_one);
  };
  const auto none = report.findings.end();
  const auto other = first_of([](const Finding& one) { return !one.index && !one.alias; });
  if (other != none) {
    return fmt::format("put back copies of the damaged files, or next: {}\n",
                       next_command(*other, level, store));
  }
  const auto index = first_of([](const Finding& one) { return one.index; });
  return fmt::format("next: {}\n",
                     next_command(index != none ? *index : report.findings.front(), level, store));
}

// The message without the path that stands above it already.
std::string_view message_of(const Finding& finding) {
  std::string_view message = finding.message;
  const std::string prefix = finding.path + ": ";
  if (message.starts_with(prefix)) message.remove_prefix(prefix.size());
  return message;
}

std::string finding_text(const Finding& finding) {
  std::string text = fmt::format("damage: {}\n", printable(finding.path));
  if (const std::string place = place_of(finding); !place.empty()) text += "  " + place + "\n";
  text += "  " + printable(message_of(finding)) + "\n";
  if (!finding.tensor.empty()) {
    text += fmt::format("  hits {}\n", counted(finding.other_checkpoints + 1, "checkpoint"));
  }
  return text;
}

Json finding_json(const Finding& finding, VerifyLevel level, const std::string& store) {
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
          {"index", finding.index},
          {"alias", finding.alias},
          {"message", finding.message},
          {"next", next_command(finding, level, store)}};
}

std::string summary(const VerifyReport& report, const VerifyOptions& options,
                    const std::string& store) {
  std::string text;
  if (!report.complete) {
    text = fmt::format("{} after {} of {}\n", report.timed_out ? "out of time" : "interrupted",
                       human_size(report.bytes), human_size(report.bytes_total));
  }
  text += fmt::format("checked {} (level {}", human_size(report.bytes), level_name(options.level));
  if (options.subset < 1) {
    text += fmt::format(", {:.4g} % of the chunks, seed {}", options.subset * 100, options.seed);
  }
  text += "): ";
  if (!store.empty()) {
    text += fmt::format("{}, {}, ", counted(report.runs, "run"),
                        counted(report.checkpoints, "checkpoint"));
  }
  text += fmt::format("{}, {}: ", counted(report.packs, "pack"), counted(report.chunks, "chunk"));
  return text + (report.findings.empty()
                     ? "no damage found\n"
                     : counted(report.findings.size(), "piece") + " of damage\n");
}

}  // namespace

std::string verify_text(const VerifyReport& report, const VerifyOptions& options,
                        const std::string& store, bool quiet) {
  std::string text;
  for (const Finding& finding : report.findings) text += finding_text(finding);
  for (const std::string& newer : report.newer) {
    text += "not checked: " + printable(newer) + "\n";
  }
  for (const std::string& denied : report.denied) {
    text += "not checked: " + printable(denied) + "\n";
  }
  if (quiet) return text + advice(report, options.level, store);
  for (const std::string& note : report.notes) text += "note: " + printable(note) + "\n";
  return text + summary(report, options, store) + advice(report, options.level, store);
}

Json verify_json(const VerifyReport& report, const VerifyOptions& options,
                 const std::string& store) {
  Json findings = Json::array();
  for (const Finding& finding : report.findings) {
    findings.push_back(finding_json(finding, options.level, store));
  }
  return {{"clean", report.clean()},       {"complete", report.complete},
          {"timed_out", report.timed_out}, {"level", level_name(options.level)},
          {"subset", options.subset},      {"seed", options.seed},
          {"findings", findings},          {"notes", report.notes},
          {"newer", report.newer},         {"denied", report.denied},
          {"runs", report.runs},           {"checkpoints", report.checkpoints},
          {"packs", report.packs},         {"chunks", report.chunks},
          {"bytes", report.bytes},         {"bytes_total", report.bytes_total}};
}

}  // namespace ckp::tool

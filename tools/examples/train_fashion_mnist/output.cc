#include "output.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

namespace example {
namespace {

nlohmann::ordered_json to_json(const EpochResult& result) {
  return {{"epoch", result.epoch},
          {"step", result.step},
          {"train_loss", result.train_loss},
          {"val_loss", result.val_loss},
          {"val_accuracy", result.val_accuracy},
          {"weights_digest", result.weights_digest}};
}

}  // namespace

void Output::line(const std::string& text) {
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Output::resumed(std::int64_t step, const std::string& certificate,
                     const std::vector<std::string>& skipped) {
  if (json_) {
    for (const std::string& reason : skipped) fmt::print(stderr, "warning: skipped {}\n", reason);
    return;
  }
  line(fmt::format("resumed from step {}", step));
  fmt::print("{}", certificate);
  std::fflush(stdout);
}

void Output::saved(const ckp::SaveReport& report) {
  if (json_) return;
  const ckp::CheckpointRecord& checkpoint = report.checkpoint;
  const std::int64_t ns = report.encode_ns + report.write_ns + report.sync_ns + report.commit_ns;
  line(fmt::format("  saved epoch {} step {} ({:.1f} MB, {:.0f} ms)", checkpoint.epoch,
                   checkpoint.step, static_cast<double>(report.bytes_written) / 1e6,
                   static_cast<double>(ns) / 1e6));
}

void Output::epoch(const EpochResult& result, std::int64_t epochs) {
  if (json_) return line(to_json(result).dump());
  line(
      fmt::format("epoch {}/{}  step {}  train loss {:.4f}  val loss {:.4f}  val accuracy {:.2f} %",
                  result.epoch, epochs, result.step, result.train_loss, result.val_loss,
                  100 * result.val_accuracy));
}

void Output::final(const EpochResult& result) {
  if (json_) return line(nlohmann::ordered_json{{"final", to_json(result)}}.dump());
  line(fmt::format("final  epoch {}  step {}  val loss {:.4f}  val accuracy {:.2f} %  weights {}",
                   result.epoch, result.step, result.val_loss, 100 * result.val_accuracy,
                   result.weights_digest));
}

void Output::note(const std::string& text) { fmt::print(stderr, "note: {}\n", text); }

}  // namespace example

#include <fmt/format.h>

#include <ostream>

#include "ckp/libtorch/training_loop.h"

namespace ckp::libtorch {
namespace {

std::string place_of(const CheckpointRecord& checkpoint) {
  return fmt::format("step {} (epoch {}, checkpoint {})", checkpoint.step, checkpoint.epoch,
                     checkpoint.id.short_hex());
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const StartReport& report) {
  if (!report.parent) {
    return out << report.run << " has checkpoints of its own: no other weights are taken\n";
  }
  const ParentCheckpoint& parent = *report.parent;
  return out << report.run << " begins with the weights of "
             << fmt::format("{}@{} (epoch {}, step {})", parent.run_name,
                            parent.checkpoint.short_hex(), parent.epoch, parent.step)
             << '\n'
             << report.restored << '\n';
}

std::ostream& operator<<(std::ostream& out, const ResumeReport& report) {
  for (const std::string& text : report.skipped) out << "skipped " << text << '\n';
  if (!report.from) return out << "started " << report.run << '\n';
  out << "resumed " << report.run << " from " << place_of(*report.from) << '\n';
  if (report.died_in_step > 0) {
    out << fmt::format("the attempt before died in step {}, which comes again\n",
                       report.died_in_step);
  }
  if (report.from->mid_step()) out << "it was saved inside a step: the continuation is another\n";
  return out << report.restored << '\n';
}

std::ostream& operator<<(std::ostream& out, const BestReport& report) {
  if (!report.checkpoint) {
    return out << "best: not restored, because the run was stopped by " << report.stopped << '\n';
  }
  return out << "best: " << report.metric << ' '
             << fmt::format("{:g}", report.checkpoint->metrics.at(report.metric)) << " at "
             << place_of(*report.checkpoint) << '\n'
             << report.restored << '\n';
}

}  // namespace ckp::libtorch

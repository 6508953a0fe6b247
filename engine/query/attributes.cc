#include "query/attributes.h"

#include <algorithm>

#include "query/history_source.h"

namespace ckp {
namespace {

using Type = Attribute::Type;
using From = Attribute::From;

Operand hex_of(const Uuid& id, Scratch& scratch) {
  constexpr std::string_view digits = "0123456789abcdef";
  char* out = scratch.data();
  for (const std::byte byte : id.bytes) {
    *out++ = digits[std::to_integer<unsigned>(byte) >> 4];
    *out++ = digits[std::to_integer<unsigned>(byte) & 15];
  }
  return Operand::of_text({scratch.data(), static_cast<std::size_t>(out - scratch.data())});
}

Operand text_or_missing(std::string_view text) {
  return text.empty() ? Operand{} : Operand::of_text(text);
}

Operand started(const Subject& subject, Scratch&) {
  return Operand::of_time(subject.run.created_ns);
}

Operand ended(const Subject& subject, Scratch&) {
  if (subject.run.status == RunStatus::in_progress) return {};
  const CheckpointTotals& all = subject.history->totals();
  if (all.count > 0) return Operand::of_time(all.last_created_ns);
  const auto& attempts = subject.run.attempts;
  if (attempts.empty() || attempts.back().last_seen_ns == 0) return {};
  return Operand::of_time(attempts.back().last_seen_ns);
}

Operand resumed(const Subject& subject, Scratch&) {
  const auto& attempts = subject.run.attempts;
  return Operand::of_truth(std::any_of(attempts.begin(), attempts.end(), [](const Attempt& one) {
    return one.continued_from.has_value();
  }));
}

Operand newest_host(const Subject& subject, Scratch&) {
  if (subject.run.attempts.empty()) return {};
  return text_or_missing(subject.run.attempts.back().host);
}

Operand duration_hours(const Subject& subject, Scratch&) {
  return Operand::of_number(subject.history->hours());
}

Operand device_hours(const Subject& subject, Scratch&) {
  return Operand::of_number(subject.history->device_hours());
}

template <const char* key>
Operand environment_value(const Subject& subject, Scratch&) {
  const Value::Map* const values = recorded_for(subject, &RunRecord::environment_in);
  if (values == nullptr) return Operand::undecided();
  const auto found = values->find(key);
  return found == values->end() ? Operand{} : Operand::of_value(found->second);
}

constexpr char user_key[] = "user", commit_key[] = "git_commit", branch_key[] = "git_branch",
               dirty_key[] = "git_dirty";

Operand newest_devices(const Subject& subject, Scratch&) {
  if (subject.run.attempts.empty()) return {};
  return Operand::of_number(subject.run.attempts.back().devices);
}

Operand total_size(const Subject& subject, Scratch&) {
  return Operand::of_size(subject.history->totals().size);
}

template <auto field>
Operand number_of(const Subject& subject, Scratch&) {
  return Operand::of_size(static_cast<std::uint64_t>(subject.checkpoint->*field));
}

template <auto field>
Operand truth_of(const Subject& subject, Scratch&) {
  return Operand::of_truth(subject.checkpoint->*field);
}

const Attribute attributes[] = {
    {"name", "run_name", Type::text, From::run,
     [](const Subject& s, Scratch&) { return Operand::of_text(s.run.name); }, "the run's name"},
    {"run_id", "", Type::text, From::run,
     [](const Subject& s, Scratch& scratch) { return hex_of(s.run.id, scratch); },
     "the run's id, 32 hexadecimal digits"},
    {"experiment", "experiment_name", Type::text, From::run,
     [](const Subject& s, Scratch&) { return text_or_missing(s.run.experiment); },
     "the group that the run belongs to"},
    {"status", "", Type::status, From::run,
     [](const Subject& s, Scratch&) { return Operand::of_text(to_string(s.run.status)); },
     "in_progress, completed, failed or interrupted"},
    {"started", "start_time", Type::time, From::run, started, "when the run was created"},
    {"ended", "end_time", Type::time, From::history, ended,
     "of a run that no process holds: its last checkpoint, or without one its last sign of life"},
    {"duration_hours", "", Type::number, From::history, duration_hours,
     "from each attempt's start to its end or last sign of life, added up"},
    {"device_hours", "", Type::number, From::history, device_hours,
     "the same, each times the devices that the attempt used"},
    {"devices", "", Type::number, From::run, newest_devices,
     "how many the newest attempt uses at a time"},
    {"attempts", "", Type::number, From::run,
     [](const Subject& s, Scratch&) { return Operand::of_size(s.run.attempts.size()); },
     "how often the run was started or resumed"},
    {"resumed", "", Type::truth, From::run, resumed,
     "whether an attempt continued from a checkpoint"},
    {"host", "", Type::text, From::run, newest_host, "where the newest attempt was started"},
    {"user", "user_id", Type::text, From::run, environment_value<user_key>, "who started it"},
    {"git_commit", "", Type::text, From::run, environment_value<commit_key>,
     "of the program's source"},
    {"git_branch", "", Type::text, From::run, environment_value<branch_key>, "likewise"},
    {"git_dirty", "", Type::truth, From::run, environment_value<dirty_key>,
     "whether that source differed from the commit"},
    {"best_metric", "", Type::text, From::run,
     [](const Subject& s, Scratch&) { return text_or_missing(s.run.best_metric); },
     "what RUN@best means"},
    {"parent", "", Type::text, From::run,
     [](const Subject& s, Scratch&) {
       return s.run.parent ? text_or_missing(s.run.parent->run_name) : Operand{};
     },
     "the run whose weights this one began with"},
    {"parent_checkpoint", "", Type::text, From::run,
     [](const Subject& s, Scratch& scratch) {
       return s.run.parent ? hex_of(s.run.parent->checkpoint, scratch) : Operand{};
     },
     "that run's checkpoint, 32 hexadecimal digits"},
    {"checkpoints", "", Type::number, From::history,
     [](const Subject& s, Scratch&) { return Operand::of_size(s.history->totals().count); },
     "how many the run has, superseded ones included"},
    {"total_size", "", Type::number, From::history, total_size, "bytes of all their files"},
    {"checkpoint_id", "", Type::text, From::checkpoint,
     [](const Subject& s, Scratch& scratch) { return hex_of(s.checkpoint->id, scratch); },
     "32 hexadecimal digits"},
    {"epoch", "", Type::number, From::checkpoint, number_of<&CheckpointRecord::epoch>,
     "epochs completed"},
    {"step", "", Type::number, From::checkpoint, number_of<&CheckpointRecord::step>,
     "optimizer steps completed"},
    {"time", "", Type::time, From::checkpoint,
     [](const Subject& s, Scratch&) { return Operand::of_time(s.checkpoint->created_ns); },
     "when the checkpoint was saved"},
    {"size", "", Type::number, From::checkpoint, number_of<&CheckpointRecord::file_size>,
     "bytes of its file"},
    {"tensor_bytes", "", Type::number, From::checkpoint, number_of<&CheckpointRecord::tensor_bytes>,
     "raw bytes of its tensors"},
    {"tensors", "", Type::number, From::checkpoint, number_of<&CheckpointRecord::tensor_count>,
     "how many it has"},
    {"attempt", "", Type::number, From::checkpoint, number_of<&CheckpointRecord::attempt>,
     "the attempt that saved it"},
    {"commit", "", Type::number, From::checkpoint, number_of<&CheckpointRecord::commit>,
     "its number in the store's order"},
    {"best", "", Type::truth, From::checkpoint,
     [](const Subject& s, Scratch&) {
       const CheckpointRecord* const best = s.history->best();
       return Operand::of_truth(best != nullptr && best->id == s.checkpoint->id);
     },
     "whether RUN@best is this one"},
    {"final", "", Type::truth, From::checkpoint, truth_of<&CheckpointRecord::final>,
     "saved as the run's end"},
    {"nonfinite", "", Type::truth, From::checkpoint, truth_of<&CheckpointRecord::nonfinite>,
     "a tensor holds NaN or infinity"},
    {"resumable", "", Type::truth, From::checkpoint,
     [](const Subject& s, Scratch&) { return Operand::of_truth(s.checkpoint->resumable()); },
     "whether a resume may take it by itself"},
    {"superseded", "", Type::truth, From::checkpoint,
     [](const Subject& s, Scratch&) {
       return Operand::of_truth(!s.history->on_line(*s.checkpoint));
     },
     "not on the run's current line"},
};

}  // namespace

std::span<const Attribute> all_attributes() { return attributes; }

std::vector<AttributeName> attribute_names() {
  std::vector<AttributeName> names;
  for (const Attribute& one : attributes) names.push_back({one.name, one.meaning});
  return names;
}

}  // namespace ckp

#include "restore_plan.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>

#include "ckp/artifacts.h"
#include "ckp/certificate.h"
#include "ckp/closest_name.h"
#include "ckp/error.h"
#include "ckp/libtorch/tensor.h"
#include "name_pattern.h"
#include "selection.h"

namespace ckp::libtorch {
namespace {

using format::TensorEntry;
constexpr unsigned kLazyBits = format::tensor_flag::conjugate | format::tensor_flag::negative;
constexpr std::size_t kProblemsShown = 10;
constexpr std::size_t kStagedAtOnce = std::size_t{32} << 20;  // bytes, or one tensor

std::string describe(const TensorEntry& entry) {
  return fmt::format("shape [{}] {}", fmt::join(entry.shape, ", "), to_string(entry.dtype));
}

unsigned lazy_bits(const at::Tensor& tensor) {
  return (tensor.is_conj() ? format::tensor_flag::conjugate : 0u) |
         (tensor.is_neg() ? format::tensor_flag::negative : 0u);
}

bool fits(const TensorEntry& entry, const at::Tensor& target) {
  return to_dtype(target.scalar_type()) == entry.dtype && target.sizes().vec() == entry.shape;
}

bool same_view(const TensorEntry& a, const TensorEntry& b) {
  return a.storage == b.storage && a.storage_offset == b.storage_offset && a.strides == b.strides;
}

std::string first_segment(const std::string& name) { return name.substr(0, name.find('/')); }

}  // namespace

std::span<const TensorEntry> RestorePlan::tensors_of(const std::string& part) const {
  const auto& all = checkpoint_.manifest().tensors;  // sorted by name
  const std::string prefix = part + "/";
  auto first = std::lower_bound(
      all.begin(), all.end(), prefix,
      [](const TensorEntry& entry, const std::string& name) { return entry.name < name; });
  auto last = std::find_if(
      first, all.end(), [&](const TensorEntry& entry) { return !entry.name.starts_with(prefix); });
  return {first, last};
}

bool RestorePlan::has_part(const std::string& part) const {
  return !tensors_of(part).empty() || checkpoint_.values().contains(part);
}

std::string RestorePlan::absent(const std::string& part, const std::string& name) const {
  ClosestName closest(name);
  for (const TensorEntry& entry : tensors_of(part)) closest.offer(entry.name);
  if (closest.best().empty()) return fmt::format("{}: not in the checkpoint", name);
  return fmt::format("{}: not in the checkpoint; the closest name there is {}", name,
                     closest.best());
}

void RestorePlan::require(const std::string& part, const std::string& name,
                          const at::Tensor& target) {
  if (checkpoint_.manifest().find(name) != nullptr) {
    fill(part, name, target);
  } else {
    note_missing(name);
    absent_.emplace_back(part, name);
  }
}

void RestorePlan::fill(const std::string& part, const std::string& name, const at::Tensor& target) {
  const TensorEntry& entry = *checkpoint_.manifest().find(name);
  check_dense(name, target);
  asked_.insert(name);
  if (!fits(entry, target)) {
    problem(fmt::format("{}: the {} has {}, the checkpoint has {}", name, part,
                        libtorch::describe(target), describe(entry)));
    return;
  }
  if (target.numel() == 0) return;
  Place place{target.storage().unsafeGetStorageImpl(), entry.dtype, target.sizes().vec(),
              target.strides().vec()};
  std::get<2>(place).push_back(target.storage_offset());
  auto [known, made] = places_.try_emplace(std::move(place), name);
  if (made) {
    schedule(entry, target);
  } else {
    check_tied(name, known->second);
  }
}

// Two names for one memory: the checkpoint must have the same bytes for both.
void RestorePlan::check_tied(const std::string& name, const std::string& first) {
  const auto& manifest = checkpoint_.manifest();
  if (same_view(*manifest.find(name), *manifest.find(first))) return;
  if (checkpoint_.read(name) == checkpoint_.read(first)) return;
  problem(
      fmt::format("{}: shares its memory with {} here, but the checkpoint has different "
                  "values for them",
                  name, first));
}

void RestorePlan::schedule(const TensorEntry& entry, const at::Tensor& target) {
  const unsigned stored_bits = entry.flags & kLazyBits;
  if (target.device().is_cpu() && lazy_bits(target) == stored_bits) {
    targets_.push_back(tensor_target(entry.name, target));
    held_.push_back(target);
    return;
  }
  staged_.push_back({entry.name, target, static_cast<std::uint16_t>(stored_bits)});
}

// So much of it at a time that the host never has a second copy of the model.
void RestorePlan::load_through_host() {
  for (std::size_t next = 0; next < staged_.size();) {
    std::vector<std::pair<at::Tensor, const Staged*>> hosts;
    std::vector<TensorTarget> targets;
    for (std::size_t bytes = 0; next < staged_.size() && bytes < kStagedAtOnce; ++next) {
      const Staged& staged = staged_[next];
      const at::Tensor host =
          at::empty(staged.target.sizes(),
                    staged.target.options().device(at::kCPU).requires_grad(false).memory_format(
                        at::MemoryFormat::Contiguous));
      bytes += host.nbytes();
      targets.push_back(tensor_target(staged.name, host));
      hosts.emplace_back(host, &staged);
    }
    checkpoint_.load(targets, options_.load);
    for (auto& [host, staged] : hosts) {
      if (staged->flags & format::tensor_flag::conjugate) host._set_conj(true);
      if (staged->flags & format::tensor_flag::negative) host._set_neg(true);
      staged->target.detach().copy_(host);
    }
  }
}

void RestorePlan::compare(std::string name, Value program, Value checkpoint) {
  if (program == checkpoint) return;
  const auto kept =
      keeps_constructed(name) ? Difference::Kept::program : Difference::Kept::checkpoint;
  differences_.push_back({std::move(name), std::move(program), std::move(checkpoint), kept});
}

bool RestorePlan::keeps_constructed(std::string_view name) const {
  return std::any_of(options_.keep_constructed.begin(), options_.keep_constructed.end(),
                     [&](const std::string& pattern) { return name_fits(pattern, name); });
}

bool RestorePlan::keeps_learning_rates() const {
  return std::any_of(options_.keep_constructed.begin(), options_.keep_constructed.end(),
                     [](const std::string& pattern) { return pattern.ends_with("/lr"); });
}

void RestorePlan::compare_fact(const std::string& name, const Value& program,
                               const Value& checkpoint) {
  if (program == checkpoint) return;
  // A resumed program is often called in another way, a newer library resumes exactly, too, and of
  // what has changed in the code only people can tell.
  const bool for_people = name == "command_line" || name == "library" || name == "git_commit";
  differences_.push_back({name, program, checkpoint, Difference::Kept::program, !for_people});
}

void RestorePlan::missing_part(const std::string& part) {
  note_missing(part);
  if (!options_.strict) return;
  std::set<std::string> there;
  for (const TensorEntry& entry : checkpoint_.manifest().tensors) {
    if (!is_artifact(checkpoint_.manifest(), entry)) there.insert(first_segment(entry.name));
  }
  for (const auto& [name, value] : checkpoint_.values()) there.insert(name);
  there.erase(std::string(certificate_part));
  if (!artifacts_of(checkpoint_).empty()) there.erase(std::string(artifacts_part));
  problem(fmt::format("{}: the checkpoint has no such part; it has: {}", part,
                      there.empty() ? "nothing" : fmt::format("{}", fmt::join(there, ", "))));
}

void RestorePlan::check_leftovers(std::span<const std::string> parts) {
  for (const auto& [part, name] : absent_) problem(absent(part, name));
  for (const std::string& part : parts) {
    for (const TensorEntry& entry : tensors_of(part)) {
      if (asked_.contains(entry.name) || left_out_.contains(entry.name)) continue;
      if (!takes(options_.select, entry.name)) continue;
      problem(fmt::format("{}: in the checkpoint ({}), but not in the {}", entry.name,
                          describe(entry), part));
    }
  }
}

void RestorePlan::check_exact(std::span<const std::string> parts) {
  if (checkpoint_.record().mid_step()) {
    throw Error(
        ErrorCode::mismatch,
        fmt::format("{}: saved inside a training step, when an exception ended it: no exact "
                    "resume is possible from it; nothing was changed",
                    checkpoint_.name()));
  }
  const RestoreReport found = report(parts);
  if (found.exact()) return;
  std::ostringstream text;
  text << found;
  throw Error(ErrorCode::mismatch, fmt::format("{}: an exact resume is not possible; nothing was "
                                               "changed. It would be: {}",
                                               checkpoint_.name(), text.str()));
}

void RestorePlan::check_all(std::span<const std::string> parts) {
  if (options_.strict) check_leftovers(parts);
  if (problems_.empty()) {
    if (options_.exact) check_exact(parts);
    return;
  }
  if (problems_.size() == 1) {
    throw Error(ErrorCode::mismatch, problems_[0] + "; nothing was changed");
  }
  std::string text = fmt::format("{}: {} things do not fit; nothing was changed",
                                 checkpoint_.name(), problems_.size());
  for (std::size_t i = 0; i < std::min(problems_.size(), kProblemsShown); ++i) {
    text += "\n  " + problems_[i];
  }
  if (problems_.size() > kProblemsShown) {
    text += fmt::format("\n  and {} more", problems_.size() - kProblemsShown);
  }
  throw Error(ErrorCode::mismatch, text);
}

RestoreReport RestorePlan::carry_out(std::span<const std::string> parts) {
  checkpoint_.load(targets_, options_.load);
  load_through_host();
  for (auto& action : actions_) action();
  return report(parts);
}

RestoreReport RestorePlan::report(std::span<const std::string> parts) const {
  RestoreReport report;
  report.restored.assign(asked_.begin(), asked_.end());
  for (const std::string& part : parts) {
    if (tensors_of(part).empty() && has_part(part)) report.restored.push_back(part);
  }
  report.missing = missing_;
  report.converted = converted_;
  report.differences = differences_;
  for (const TensorEntry& entry : checkpoint_.manifest().tensors) {
    const bool is_state = !is_artifact(checkpoint_.manifest(), entry);
    if (is_state && !asked_.contains(entry.name)) report.ignored.push_back(entry.name);
  }
  for (const auto& [name, value] : checkpoint_.values()) {
    bool wanted =
        name == certificate_part || std::find(parts.begin(), parts.end(), name) != parts.end();
    if (!wanted && tensors_of(name).empty()) report.ignored.push_back(name);
  }
  return report;
}

}  // namespace ckp::libtorch

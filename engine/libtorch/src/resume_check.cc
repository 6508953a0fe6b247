#include "ckp/libtorch/resume_check.h"

#include <ATen/Context.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <torch/utils.h>

#include <cstring>

#include "ckp/certificate.h"
#include "ckp/error.h"
#include "ckp/libtorch/save_file.h"
#include "ckp/state_digest.h"

namespace ckp::libtorch {
namespace {

std::filesystem::path make_scratch_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "ckpstore-check-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw Error(ErrorCode::io, fmt::format("{}: cannot be made, for the check of a resume", name));
  }
  return name;
}

// The path of the first value that differs, or nothing.
std::optional<std::string> first_difference(const Value& one, const Value& other,
                                            const std::string& path) {
  if (one == other) return std::nullopt;
  const Value::Map* left = one.get_if<Value::Map>();
  const Value::Map* right = other.get_if<Value::Map>();
  if (left == nullptr || right == nullptr) return path;
  for (const auto& [name, value] : *left) {
    const std::string below = path.empty() ? name : path + "/" + name;
    auto place = right->find(name);
    if (place == right->end()) return below;
    if (auto found = first_difference(value, place->second, below)) return found;
  }
  return path;
}

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

}  // namespace

struct ResumeCheck::Outcome {
  std::vector<std::map<std::string, double>> metrics;
  std::vector<TensorDigest> tensors;  // by name
  Value values;
};

ResumeCheck::ResumeCheck(const TrainingState& state, std::int64_t steps)
    : state_(state), steps_(steps), folder_(make_scratch_folder()) {
  // On any rank: it is for itself.
  Ranks here = state_.ranks();
  here.save_on_every_rank = true;
  state_.ranks(here);
  save_file(folder_ / "before.ckp", state_);
}

ResumeCheck::~ResumeCheck() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void ResumeCheck::step(const std::map<std::string, double>& metrics) {
  metrics_.push_back(metrics);
}

std::optional<ResumeProof> ResumeCheck::end_of_step(bool last) {
  if (++done_ < steps_ && !last) return std::nullopt;
  if (first_ != nullptr) return compare(outcome());
  first_ = std::make_unique<Outcome>(outcome());
  steps_ = done_;
  done_ = 0;
  metrics_.clear();
  torch::manual_seed(0x5eed5eed);  // of every device
  state_.restore(open_file(folder_ / "before.ckp"));
  return std::nullopt;
}

// What is in a checkpoint now: that, and nothing else, is what a resume can bring back.
ResumeCheck::Outcome ResumeCheck::outcome() const {
  const std::filesystem::path file = folder_ / "after.ckp";
  save_file(file, state_);
  const Checkpoint checkpoint = open_file(file);
  Value::Map values = checkpoint.values();
  values.erase(std::string(certificate_part));
  for (auto& [name, part] : values) {
    if (Value::Map* map = part.get_if<Value::Map>()) map->erase("trained_seconds");  // a clock's
  }
  return {metrics_, state_digest(checkpoint).tensors, std::move(values)};
}

ResumeProof ResumeCheck::compare(const Outcome& again) const {
  ResumeProof proof{false, steps_, ""};
  for (std::size_t i = 0; i < std::max(first_->tensors.size(), again.tensors.size()); ++i) {
    const bool both = i < first_->tensors.size() && i < again.tensors.size();
    if (both && first_->tensors[i].digest == again.tensors[i].digest) continue;
    const auto& longer = i < first_->tensors.size() ? first_->tensors : again.tensors;
    proof.difference = longer[i].name;
    return proof;
  }
  if (auto path = first_difference(first_->values, again.values, "")) {
    proof.difference = *path;
    return proof;
  }
  for (std::size_t i = 0; i < first_->metrics.size(); ++i) {
    for (const auto& [name, value] : first_->metrics[i]) {
      auto place = again.metrics[i].find(name);
      if (place != again.metrics[i].end() && same_bits(place->second, value)) continue;
      proof.difference = fmt::format("{} of step {}", name, i + 1);
      return proof;
    }
  }
  proof.proven = true;
  return proof;
}

std::string ResumeProof::text() const {
  const char* unit = steps == 1 ? "step" : "steps";
  if (proven) return fmt::format("resume proven over {} {}", steps, unit);
  return fmt::format("resume NOT proven: {} differs after {} {} from the same saved state",
                     difference, steps, unit);
}

}  // namespace ckp::libtorch

#include "basic_parts.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/optim/schedulers/step_lr.h>

#include <limits>
#include <mutex>

#include "ckp/error.h"

namespace ckp::libtorch {
namespace {

// The base class keeps its count protected and offers no accessor.
struct StepCount : torch::optim::LRScheduler {
  static unsigned& of(torch::optim::LRScheduler& scheduler) {
    return scheduler.*(&StepCount::step_count_);
  }
};

// LibTorch knows GPUs through this interface without any CUDA header.
std::vector<at::Generator> default_generators() {
  std::vector<at::Generator> generators{at::globalContext().defaultGenerator(at::kCPU)};
  if (at::hasCUDA()) {
    for (std::size_t i = 0; i < at::getNumGPUs(); ++i) {
      at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(i));
      generators.push_back(at::globalContext().defaultGenerator(device));
    }
  }
  return generators;
}

at::Tensor state_of(const at::Generator& generator) {
  at::Generator shared = generator;
  std::lock_guard<std::mutex> lock(shared.mutex());
  return shared.get_state();
}

// A tensor for the generator's state; what is in it when the restore runs becomes the state.
at::Tensor restored_state(const at::Generator& generator, PartReader& in) {
  at::Tensor state = at::empty_like(state_of(generator));
  in.on_restore([shared = generator, state]() mutable {
    std::lock_guard<std::mutex> lock(shared.mutex());
    shared.set_state(state);
  });
  return state;
}

}  // namespace

void StepLrPart::save(PartWriter& out) const {
  out.value("type", "StepLR");
  out.value("step_count", std::int64_t{StepCount::of(scheduler_)});
}

void StepLrPart::check(PartReader& in) {
  const std::string& type = in.value("type").as_string();
  if (type != "StepLR") {
    in.mismatch(fmt::format("{}: a StepLR here, {} in the checkpoint", in.part(), type));
    return;
  }
  std::int64_t count = in.value("step_count").as_int();
  if (count < 0 || count > std::numeric_limits<unsigned>::max()) {
    in.mismatch(fmt::format("{}/step_count: {} is no count of steps", in.part(), count));
    return;
  }
  in.on_restore([this, count] { StepCount::of(scheduler_) = static_cast<unsigned>(count); });
}

void RandomStatePart::save(PartWriter& out) const {
  for (at::Generator& generator : default_generators()) {
    out.tensor(generator.device().str(), state_of(generator));
  }
}

void RandomStatePart::check(PartReader& in) {
  std::vector<std::string> known;
  for (at::Generator& generator : default_generators()) {
    std::string device = generator.device().str();
    known.push_back(device);
    // A machine may have more GPUs than the one that saved; that must not stop it.
    if (in.find(device) == nullptr) {
      in.optional_tensor(device, at::Tensor());
    } else {
      in.tensor(device, restored_state(generator, in));
    }
  }
  for (const std::string& name : in.names()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) in.ignore(name);
  }
}

void GeneratorPart::save(PartWriter& out) const { out.tensor("state", state_of(generator_)); }

void GeneratorPart::check(PartReader& in) { in.tensor("state", restored_state(generator_, in)); }

void ValuePart::check(PartReader& in) {
  in.on_restore([this, value = in.value("")] { value_ = value; });
}

}  // namespace ckp::libtorch

#include "ckp/libtorch/save_file.h"

#include <torch/nn/module.h>

#include "ckp/libtorch/training_state.h"

namespace ckp::libtorch {
namespace {

// Saving changes nothing, but a TrainingState serves restoring, too. A file of weights says nothing
// about which of them are to be trained.
TrainingState state_of(const torch::nn::Module& module) {
  TrainingState state;
  state.model("model", const_cast<torch::nn::Module&>(module), {.requires_grad = false});
  return state;
}

}  // namespace

SaveReport save_file(const std::filesystem::path& path, const torch::nn::Module& module,
                     const SaveOptions& options) {
  return save_file(path, state_of(module), options);
}

SaveReport save_file(const std::filesystem::path& path, const TrainingState& state,
                     const SaveOptions& options) {
  return ckp::save_file(path, state.state_dict(), options);
}

RestoreReport load_file(const std::filesystem::path& path, torch::nn::Module& module,
                        const RestoreOptions& options) {
  return load_file(path, state_of(module), options);
}

RestoreReport load_file(const std::filesystem::path& path, const TrainingState& state,
                        const RestoreOptions& options) {
  return state.restore(open_file(path), options);
}

}  // namespace ckp::libtorch

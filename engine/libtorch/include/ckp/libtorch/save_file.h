// The smallest way in: one standalone `.ckp` file, atomic and checksummed, no store.
//
//   ckp::libtorch::save_file("net.ckp", *net);
//   ckp::libtorch::load_file("net.ckp", *net);
#pragma once

#include <filesystem>

#include "ckp/error.h"
#include "ckp/libtorch/restore_report.h"
#include "ckp/save.h"

namespace torch {
namespace nn {
class Module;
}
}  // namespace torch

namespace ckp::libtorch {

class TrainingState;

// Durable on return; at any moment `path` holds the old complete file or the new one. A module is
// saved as the part "model".
SaveReport save_file(const std::filesystem::path& path, const torch::nn::Module& module,
                     const SaveOptions& options = {});
SaveReport save_file(const std::filesystem::path& path, const TrainingState& state,
                     const SaveOptions& options = {});

// Checks that everything fits before it changes anything, and every byte on the way: see
// TrainingState::restore. A module takes the part "model" of any checkpoint file.
RestoreReport load_file(const std::filesystem::path& path, torch::nn::Module& module,
                        const RestoreOptions& options = {});
RestoreReport load_file(const std::filesystem::path& path, const TrainingState& state,
                        const RestoreOptions& options = {});

}  // namespace ckp::libtorch

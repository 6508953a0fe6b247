// Which tensors of a checkpoint a restore takes, and what they are called in this program.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace ckp::libtorch {

struct RestoreSelection {
  // Patterns of "part/name", in which a star stands for any characters but a slash: "model/fc.*",
  // "*/encoder.*". A parameter is meant with its optimizer state and its averages, as
  // "optimizer/fc.weight" and "ema/fc.weight". Empty: everything. What is not taken stays as the
  // program made it and may have any shape.
  std::vector<std::string> include = {};
  std::vector<std::string> exclude = {};
  // Beginnings of parameter names: those in the checkpoint, and those here. {"backbone.",
  // "encoder."} takes what was saved as "backbone.conv.weight" for "encoder.conv.weight", in
  // models, optimizers and averages. The longest beginning counts.
  std::map<std::string, std::string> rename = {};
};

}  // namespace ckp::libtorch

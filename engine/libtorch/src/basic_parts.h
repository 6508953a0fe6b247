// The small parts that a training state makes for LibTorch's own objects.
#pragma once

#include <string>

#include "ckp/libtorch/part.h"

namespace torch {
namespace nn {
class Module;
}
namespace optim {
class StepLR;
}
}  // namespace torch

namespace ckp::libtorch {

class ModelPart : public Part {
 public:
  explicit ModelPart(const torch::nn::Module& module) : module_(module) {}
  std::string_view kind() const override { return "model"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  const torch::nn::Module& module_;
};

class StepLrPart : public Part {
 public:
  explicit StepLrPart(torch::optim::StepLR& scheduler) : scheduler_(scheduler) {}
  std::string_view kind() const override { return "scheduler"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  torch::optim::StepLR& scheduler_;
};

class RandomStatePart : public Part {
 public:
  std::string_view kind() const override { return "random_state"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;
};

class ValuePart : public Part {
 public:
  explicit ValuePart(Value& value) : value_(value) {}
  std::string_view kind() const override { return "value"; }
  void save(PartWriter& out) const override { out.value("", value_); }
  void check(PartReader& in) override;

 private:
  Value& value_;
};

}  // namespace ckp::libtorch

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
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  const torch::nn::Module& module_;
};

class StepLrPart : public Part {
 public:
  explicit StepLrPart(torch::optim::StepLR& scheduler) : scheduler_(scheduler) {}
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  torch::optim::StepLR& scheduler_;
};

class RandomStatePart : public Part {
 public:
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;
};

class ValuePart : public Part {
 public:
  explicit ValuePart(Value& value) : value_(value) {}
  void save(PartWriter& out) const override { out.value("", value_); }
  void check(PartReader& in) override;

 private:
  Value& value_;
};

}  // namespace ckp::libtorch

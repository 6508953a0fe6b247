// The small parts that a training state makes for LibTorch's own objects.
#pragma once

#include <ATen/core/Generator.h>

#include <string>
#include <utility>

#include "ckp/libtorch/model_options.h"
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
  ModelPart(torch::nn::Module& module, const ModelOptions& options)
      : module_(module), options_(options) {}
  std::string_view kind() const override { return "model"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  void save_training(PartWriter& out) const;
  void check_requires_grad(PartReader& in, const std::string& stored, const at::Tensor& tensor);
  void check_training(PartReader& in);

  torch::nn::Module& module_;
  ModelOptions options_;
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
  bool differs_by_rank() const override { return true; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;
};

class GeneratorPart : public Part {
 public:
  explicit GeneratorPart(at::Generator generator) : generator_(std::move(generator)) {}
  std::string_view kind() const override { return "generator"; }
  bool differs_by_rank() const override { return true; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  at::Generator generator_;  // the caller's own: copies share their state
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

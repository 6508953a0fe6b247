#include "resume_warnings.h"

#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/rnn.h>

#include <algorithm>

namespace ckp::libtorch {
namespace {

namespace nn = torch::nn;

template <class Impl>
bool drops(const nn::Module& module) {
  const auto* found = dynamic_cast<const Impl*>(&module);
  return found != nullptr && found->options.p() > 0;
}

template <class Impl>
bool drops_inside(const nn::Module& module) {
  const auto* found = dynamic_cast<const Impl*>(&module);
  return found != nullptr && found->options.dropout() > 0;
}

// Whether its forward pass draws random numbers while training.
bool is_random(const nn::Module& module) {
  return drops<nn::DropoutImpl>(module) || drops<nn::Dropout2dImpl>(module) ||
         drops<nn::Dropout3dImpl>(module) || drops<nn::AlphaDropoutImpl>(module) ||
         drops<nn::FeatureAlphaDropoutImpl>(module) || drops_inside<nn::RNNImpl>(module) ||
         drops_inside<nn::LSTMImpl>(module) || drops_inside<nn::GRUImpl>(module) ||
         drops_inside<nn::MultiheadAttentionImpl>(module) ||
         dynamic_cast<const nn::RReLUImpl*>(&module) != nullptr;
}

// The path of the first such module inside the model, or nothing.
std::string first_random(const nn::Module& model) {
  for (const auto& item : model.named_modules("", /*include_self=*/false)) {
    if (is_random(*item.value())) return item.key();
  }
  return "";
}

}  // namespace

std::vector<std::string> resume_warnings(const std::string& name, const nn::Module& model,
                                         const std::set<std::string, std::less<>>& kinds) {
  std::vector<std::string> warnings;
  if (!kinds.contains("optimizer")) return warnings;
  const std::string random = first_random(model);
  if (!random.empty() && !kinds.contains("random_state")) {
    warnings.push_back(
        fmt::format("{}/{} drops at random, but the state has no random generators: a resumed run "
                    "draws other numbers; add random_state(\"random\")",
                    name, random));
  }
  const std::vector<torch::Tensor> parameters = model.parameters();
  const bool is_half = std::any_of(parameters.begin(), parameters.end(), [](const auto& parameter) {
    return parameter.scalar_type() == torch::kHalf;
  });
  if (is_half && !kinds.contains("grad_scaler")) {
    warnings.push_back(
        fmt::format("{} has half-precision parameters, but the state has no gradient scaler: if "
                    "there is one, a resumed run begins with another loss scale; add it as a part",
                    name));
  }
  return warnings;
}

std::optional<std::string> scheduler_warning(const std::string& name, const Value& optimizer) {
  const Value* list = optimizer.find("groups");
  const auto* groups = list == nullptr ? nullptr : list->get_if<Value::List>();
  for (std::size_t g = 0; groups != nullptr && g < groups->size(); ++g) {
    const Value* now = (*groups)[g].find("options");
    const Value* then = (*groups)[g].find("constructed");
    if (now != nullptr) now = now->find("lr");
    if (then != nullptr) then = then->find("lr");
    if (now == nullptr || then == nullptr || *now == *then) continue;
    return fmt::format(
        "{}/{}/lr has moved from {} to {}, but the state has no scheduler: if there is one, a "
        "resumed run begins its schedule anew; add it with scheduler() or part()",
        name, g, then->as_double(), now->as_double());
  }
  return std::nullopt;
}

}  // namespace ckp::libtorch

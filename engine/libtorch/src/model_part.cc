#include <fmt/format.h>
#include <torch/nn/module.h>

#include "basic_parts.h"

namespace ckp::libtorch {

void ModelPart::save(PartWriter& out) const {
  out.only_steps_change_what_follows(true);
  for (const auto& item : module_.named_parameters()) out.tensor(item.key(), item.value());
  out.only_steps_change_what_follows(false);  // a forward pass of BatchNorm changes buffers
  for (const auto& item : module_.named_buffers()) out.tensor(item.key(), item.value());
  if (options_.training) save_training(out);
}

void ModelPart::check(PartReader& in) {
  auto check_one = [&](const std::string& name, const at::Tensor& tensor) {
    const std::string stored = in.stored_name(name);
    if (in.selected(name)) {
      in.tensor(stored, tensor);
      return true;
    }
    in.ignore(stored);
    return false;
  };
  for (const auto& item : module_.named_parameters()) {
    if (check_one(item.key(), item.value()) && options_.requires_grad) {
      check_requires_grad(in, in.stored_name(item.key()), item.value());
    }
  }
  for (const auto& item : module_.named_buffers()) check_one(item.key(), item.value());
  if (options_.training) check_training(in);
}

void ModelPart::check_requires_grad(PartReader& in, const std::string& stored,
                                    const at::Tensor& tensor) {
  const format::TensorEntry* entry = in.find(stored);
  if (entry == nullptr) return;
  const bool wanted = (entry->flags & format::tensor_flag::requires_grad) != 0;
  in.on_restore([tensor, wanted] { tensor.set_requires_grad(wanted); });
}

void ModelPart::save_training(PartWriter& out) const {
  Value::Map flags{{"", module_.is_training()}};
  for (const auto& item : module_.named_modules("", /*include_self=*/false)) {
    flags[item.key()] = item.value()->is_training();
  }
  out.value("training", std::move(flags));
}

void ModelPart::check_training(PartReader& in) {
  const Value* stored = in.find_value("training");
  if (stored == nullptr) {
    if (in.strict()) {
      in.mismatch(
          fmt::format("{}/training: the checkpoint has no flags of train() and eval()", in.part()));
    } else {
      in.note_missing("training");
    }
    return;
  }
  const Value::Map flags = stored->as_map();
  in.on_restore([this, flags] {
    auto set = [&](const std::string& name, torch::nn::Module& module) {
      auto flag = flags.find(name);
      if (flag != flags.end() && flag->second.get_if<bool>() != nullptr) {
        module.train(flag->second.as_bool());
      }
    };
    set("", module_);  // train() reaches everything below, so the modules above come first
    for (const auto& item : module_.named_modules("", /*include_self=*/false)) {
      set(item.key(), *item.value());
    }
  });
}

}  // namespace ckp::libtorch

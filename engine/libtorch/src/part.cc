#include "ckp/libtorch/part.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <map>
#include <memory>

#include "ckp/error.h"
#include "ckp/libtorch/original_tensors.h"
#include "ckp/libtorch/tensor.h"
#include "restore_plan.h"
#include "selection.h"
#include "state_tensors.h"
#include "tensor_kinds.h"

namespace ckp::libtorch {
namespace {

std::string join(const std::string& part, std::string_view name) {
  return name.empty() ? part : fmt::format("{}/{}", part, name);
}

// Whether these shape and strides touch every element between the first and the last exactly once.
bool leaves_no_gaps(const format::TensorEntry& entry) {
  std::int64_t span = 1, count = 1;
  for (std::size_t i = 0; i < entry.shape.size(); ++i) {
    span += (entry.shape[i] - 1) * entry.strides[i];
    count *= entry.shape[i];
  }
  return count > 0 && span == count;
}

}  // namespace

void PartWriter::tensor(std::string_view name, const at::Tensor& tensor, bool check_finite) {
  const at::Tensor& original = originals_.of(tensor);
  std::string full = join(part_, name);
  if (!original.defined() || is_dense(original)) {
    add_dense(full, original, check_finite);
    return;
  }
  TensorParts parts = take_apart(full, original);
  for (const auto& [component, dense] : parts.components) {
    add_dense(full + "/" + component, dense, check_finite);
  }
  state_.set(kind_path(full), std::move(parts.kind));
}

void PartWriter::add_dense(const std::string& full, const at::Tensor& tensor, bool check_finite) {
  tensors_.add(full, tensor, check_finite, only_steps_);
}

void PartWriter::value(std::string_view path, Value value) {
  state_.set(join(part_, path), std::move(value));
}

std::vector<std::string> PartReader::names() const {
  std::vector<std::string> names;
  for (const format::TensorEntry& entry : plan_.tensors_of(part_)) {
    names.push_back(entry.name.substr(part_.size() + 1));
  }
  return names;
}

const format::TensorEntry* PartReader::find(std::string_view name) const {
  return plan_.checkpoint().manifest().find(join(part_, name));
}

void PartReader::tensor(std::string_view name, const at::Tensor& target) {
  const std::string full = join(part_, name);
  const Value* kind = ckp::find_value(plan_.checkpoint().values(), kind_path(full));
  const format::TensorEntry* entry = find(name);
  if (kind != nullptr && target.defined()) {
    fill_kind(full, *kind, target);
  } else if (entry != nullptr && target.defined() && !is_dense(target)) {
    mismatch(fmt::format("{}: the {} has {}, the checkpoint has a dense tensor", full, part_,
                         describe_kind(take_apart(full, target).kind)));
    ignore(name);
  } else {
    plan_.require(part_, full, target);
  }
}

// Sparse and the like: made anew, then copied into the tensor that is there.
void PartReader::fill_kind(const std::string& full, const Value& kind, const at::Tensor& target) {
  const bool dense = is_dense(target);
  const Value here = dense ? Value() : Value(take_apart(full, target).kind);
  auto components = std::make_shared<std::map<std::string, at::Tensor>>();
  for (const std::string& component : component_names(full, kind)) {
    const std::string name = full.substr(part_.size() + 1) + "/" + component;
    if (same_kind(here, kind)) {
      (*components)[component] = make_tensor(name, target.device());
    } else {
      ignore(name);
    }
  }
  if (!same_kind(here, kind)) {
    mismatch(fmt::format("{}: the {} has {}, the checkpoint has {}", full, part_,
                         dense ? describe(target) : describe_kind(here), describe_kind(kind)));
    return;
  }
  if (target.is_meta()) return;
  on_restore([full, &kind, target, components] {
    at::NoGradGuard no_grad;
    at::Tensor whole = put_together(
        full, kind, [&](const std::string& component) { return components->at(component); });
    if (target.layout() == at::kSparseCsr) target.resize_as_sparse_(whole);  // copy_ does not
    at::Tensor(target).copy_(whole);
  });
}

bool PartReader::optional_tensor(std::string_view name, const at::Tensor& target) {
  if (find(name) == nullptr) {
    plan_.note_missing(join(part_, name));
    return false;
  }
  plan_.fill(part_, join(part_, name), target);
  return true;
}

at::Tensor PartReader::new_tensor(std::string_view name, const c10::Device& device) {
  const auto& devices = plan_.options().devices;
  const auto wanted = devices.find(part_);
  return make_tensor(name, wanted == devices.end() ? device : wanted->second);
}

at::Tensor PartReader::make_tensor(std::string_view name, const c10::Device& device) {
  const format::TensorEntry* entry = find(name);
  if (entry == nullptr) {
    throw Error(ErrorCode::mismatch,
                fmt::format("{}: not in the checkpoint; nothing was changed", join(part_, name)));
  }
  auto type = to_scalar_type(entry->dtype);
  if (!type) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: the checkpoint has {}, which this LibTorch does not know; nothing "
                            "was changed",
                            entry->name, to_string(entry->dtype)));
  }
  auto options = at::TensorOptions(device).dtype(*type);
  at::Tensor tensor = leaves_no_gaps(*entry)
                          ? at::empty_strided(entry->shape, entry->strides, options)
                          : at::empty(entry->shape, options);
  plan_.fill(part_, entry->name, tensor);
  return tensor;
}

void PartReader::ignore(std::string_view name) { plan_.ignore(join(part_, name)); }

const Value* PartReader::find_value(std::string_view path) const {
  const Value::Map& values = plan_.checkpoint().values();
  auto place = values.find(part_);
  if (place == values.end()) return nullptr;
  if (path.empty()) return &place->second;
  const Value::Map* below = place->second.get_if<Value::Map>();
  return below == nullptr ? nullptr : ckp::find_value(*below, path);
}

const Value& PartReader::value(std::string_view path) const {
  if (const Value* value = find_value(path)) return *value;
  throw Error(
      ErrorCode::mismatch,
      fmt::format("{}: the checkpoint has no such value; nothing was changed", join(part_, path)));
}

const ParameterNames& PartReader::parameters() const { return plan_.parameters(); }

void PartReader::compare(std::string_view path, Value program, Value checkpoint) {
  plan_.compare(join(part_, path), std::move(program), std::move(checkpoint));
}

bool PartReader::keeps_constructed(std::string_view path) const {
  return plan_.keeps_constructed(join(part_, path));
}

bool PartReader::keeps_learning_rates() const { return plan_.keeps_learning_rates(); }

void PartReader::converted(std::string_view what) {
  plan_.converted(fmt::format("{}: {}", part_, what));
}

bool PartReader::strict() const { return plan_.options().strict; }

bool PartReader::selected(std::string_view name) const {
  return takes(plan_.options().select, join(part_, name));
}

std::string PartReader::stored_name(std::string_view parameter) const {
  return libtorch::stored_name(plan_.options().select, parameter);
}

std::string PartReader::name_here(std::string_view stored_parameter) const {
  return libtorch::name_here(plan_.options().select, stored_parameter);
}

void PartReader::note_missing(std::string_view name) { plan_.note_missing(join(part_, name)); }

void PartReader::mismatch(std::string what) { plan_.problem(std::move(what)); }

void PartReader::on_restore(std::function<void()> action) { plan_.on_restore(std::move(action)); }

}  // namespace ckp::libtorch

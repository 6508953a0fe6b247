#include "tensor_kinds.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "ckp/error.h"
#include "ckp/libtorch/tensor.h"

namespace ckp::libtorch {
namespace {

constexpr std::string_view kKinds = "tensor_kinds";
constexpr std::string_view kLeaf = "=";

// What cannot be taken apart, or nullptr.
const char* unsupported(const at::Tensor& tensor) {
  if (tensor.is_nested()) return "a nested tensor";
  if (tensor.is_quantized() && tensor.qscheme() != at::kPerTensorAffine &&
      tensor.qscheme() != at::kPerChannelAffine) {
    return "a tensor of this quantization scheme";
  }
  if (tensor.is_meta() || tensor.is_quantized() || tensor.is_sparse()) return nullptr;
  return tensor.layout() == at::kSparseCsr ? nullptr : "a tensor of this layout";
}

Value::List list_of(at::IntArrayRef numbers) { return Value::List(numbers.begin(), numbers.end()); }

std::string dtype_name(const at::Tensor& tensor) {
  auto dtype = to_dtype(tensor.scalar_type());
  return std::string(dtype ? to_string(*dtype) : c10::toString(tensor.scalar_type()));
}

const char* layout_name(const at::Tensor& tensor) {
  if (tensor.is_meta()) return "meta";
  if (tensor.is_quantized()) return "quantized";
  return tensor.is_sparse() ? "sparse_coo" : "sparse_csr";
}

void take_quantized_apart(const at::Tensor& tensor, TensorParts& parts) {
  parts.components.emplace_back("int_repr", tensor.int_repr());
  if (tensor.qscheme() == at::kPerTensorAffine) {
    parts.kind["scale"] = tensor.q_scale();
    parts.kind["zero_point"] = std::int64_t{tensor.q_zero_point()};
    return;
  }
  parts.components.emplace_back("scales", tensor.q_per_channel_scales());
  parts.components.emplace_back("zero_points", tensor.q_per_channel_zero_points());
  parts.kind["axis"] = std::int64_t{tensor.q_per_channel_axis()};
}

// One stored kind, read field by field.
class StoredKind {
 public:
  StoredKind(std::string_view name, const Value& value) : name_(name), value_(value) {}

  std::string layout() const { return field("layout").as_string(); }
  bool has(std::string_view key) const { return value_.find(key) != nullptr; }
  const Value& field(std::string_view key) const {
    if (const Value* found = value_.find(key)) return *found;
    fail(fmt::format("its kind has no \"{}\"", key));
  }
  std::vector<std::int64_t> sizes(std::string_view key) const {
    std::vector<std::int64_t> sizes;
    for (const Value& size : field(key).as_list()) sizes.push_back(size.as_int());
    return sizes;
  }
  at::ScalarType type() const {
    auto dtype = dtype_from_string(field("dtype").as_string());
    auto type = dtype ? to_scalar_type(*dtype) : std::nullopt;
    if (!type) fail("this LibTorch does not know its dtype");
    return *type;
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::mismatch, fmt::format("{}: {}; nothing was changed", name_, what));
  }

 private:
  std::string name_;
  const Value& value_;
};

void walk(const Value& node, const std::string& name,
          const std::function<void(const std::string&, const Value&)>& action) {
  const auto* map = node.get_if<Value::Map>();
  if (map == nullptr) return;
  for (const auto& [key, below] : *map) {
    if (key == kLeaf) {
      action(name, below);
    } else {
      walk(below, name + "/" + key, action);
    }
  }
}

}  // namespace

bool is_dense(const at::Tensor& tensor) {
  return tensor.layout() == at::kStrided && !tensor.is_meta() && !tensor.is_nested() &&
         !tensor.is_quantized();
}

TensorParts take_apart(std::string_view name, const at::Tensor& tensor) {
  if (const char* kind = unsupported(tensor)) {
    throw Error(ErrorCode::unsupported, fmt::format("{}: {} cannot be saved or restored; use the "
                                                    "dense tensors that it is made of",
                                                    name, kind));
  }
  const at::Tensor plain = tensor.detach();
  TensorParts parts;
  parts.kind["layout"] = layout_name(tensor);
  parts.kind["dtype"] = dtype_name(tensor);
  parts.kind["shape"] = list_of(tensor.sizes());
  parts.kind["requires_grad"] = tensor.requires_grad();
  if (tensor.is_meta()) {
    parts.kind["strides"] = list_of(tensor.strides());
  } else if (tensor.is_quantized()) {
    take_quantized_apart(plain, parts);
  } else if (tensor.is_sparse()) {
    parts.kind["coalesced"] = tensor.is_coalesced();
    parts.components = {{"indices", plain._indices()}, {"values", plain._values()}};
  } else {
    parts.components = {{"crow_indices", plain.crow_indices()},
                        {"col_indices", plain.col_indices()},
                        {"values", plain.values()}};
  }
  return parts;
}

std::vector<std::string> component_names(std::string_view name, const Value& value) {
  const StoredKind kind(name, value);
  const std::string layout = kind.layout();
  if (layout == "meta") return {};
  if (layout == "sparse_coo") return {"indices", "values"};
  if (layout == "sparse_csr") return {"crow_indices", "col_indices", "values"};
  if (layout != "quantized") kind.fail(fmt::format("its layout \"{}\" is not known here", layout));
  if (kind.has("scale")) return {"int_repr"};
  return {"int_repr", "scales", "zero_points"};
}

namespace {

// Checked here: LibTorch itself believes the indices that it is given.
at::Tensor make_coo(const StoredKind& kind, const at::Tensor& indices, const at::Tensor& values) {
  const std::vector<std::int64_t> shape = kind.sizes("shape");
  at::_validate_sparse_coo_tensor_args(indices, values, shape);
  at::Tensor tensor = at::_sparse_coo_tensor_unsafe(indices, values, shape);
  tensor._coalesced_(kind.field("coalesced").as_bool());
  return tensor;
}

at::Tensor make_csr(const StoredKind& kind, const at::Tensor& rows, const at::Tensor& columns,
                    const at::Tensor& values) {
  const std::vector<std::int64_t> shape = kind.sizes("shape");
  at::_validate_sparse_csr_tensor_args(rows, columns, values, shape);
  return at::_sparse_csr_tensor_unsafe(rows, columns, values, shape,
                                       values.options().layout(at::kSparseCsr));
}

at::Tensor make(const StoredKind& kind,
                const std::function<at::Tensor(const std::string&)>& component) {
  const std::string layout = kind.layout();
  if (layout == "meta") {
    return at::empty_strided(kind.sizes("shape"), kind.sizes("strides"),
                             at::TensorOptions(at::kMeta).dtype(kind.type()));
  }
  if (layout == "sparse_coo") return make_coo(kind, component("indices"), component("values"));
  if (layout == "sparse_csr") {
    return make_csr(kind, component("crow_indices"), component("col_indices"), component("values"));
  }
  if (kind.has("scale")) {
    return at::_make_per_tensor_quantized_tensor(
        component("int_repr"), kind.field("scale").as_double(), kind.field("zero_point").as_int());
  }
  return at::_make_per_channel_quantized_tensor(component("int_repr"), component("scales"),
                                                component("zero_points"),
                                                kind.field("axis").as_int());
}

}  // namespace

at::Tensor put_together(std::string_view name, const Value& value,
                        const std::function<at::Tensor(const std::string&)>& component) {
  const StoredKind kind(name, value);
  at::Tensor tensor;
  try {
    tensor = make(kind, component);
  } catch (const c10::Error& error) {
    kind.fail(error.what_without_backtrace());
  }
  if (kind.field("requires_grad").as_bool()) tensor.set_requires_grad(true);
  return tensor;
}
std::string kind_path(std::string_view name) {
  const auto slash = name.find('/');
  const std::string_view part = name.substr(0, slash);
  if (slash == std::string_view::npos) return fmt::format("{}/{}/{}", part, kKinds, kLeaf);
  return fmt::format("{}/{}/{}/{}", part, kKinds, name.substr(slash + 1), kLeaf);
}

void for_each_kind(const Value::Map& values,
                   const std::function<void(const std::string&, const Value&)>& action) {
  for (const auto& [part, value] : values) {
    if (const Value* kinds = value.find(kKinds)) walk(*kinds, part, action);
  }
}

std::string describe_kind(const Value& kind) {
  std::string shape;
  if (const Value* sizes = kind.find("shape")) {
    for (const Value& size : sizes->as_list()) {
      shape += fmt::format("{}{}", shape.empty() ? "" : ", ", size.as_int());
    }
  }
  auto text = [&](const char* key) {
    const Value* value = kind.find(key);
    return value == nullptr ? std::string("?") : value->as_string();
  };
  return fmt::format("{}, shape [{}] {}", text("layout"), shape, text("dtype"));
}

bool same_kind(const Value& a, const Value& b) {
  for (const char* key : {"layout", "shape", "dtype"}) {
    const Value *x = a.find(key), *y = b.find(key);
    if (x == nullptr || y == nullptr || *x != *y) return false;
  }
  return true;
}

}  // namespace ckp::libtorch

// Tensors of every kind in a state: saved, restored in place and read anew, bit for bit with their
// strides, bits and sharing; and refused where they do not fit.
#include "ckp/libtorch/tensor.h"
#include "ckp/state_digest.h"
#include "small_net.h"

namespace ckp::test {
namespace {

using namespace libtorch;
using Tensors = std::map<std::string, at::Tensor>;

at::Tensor coo(std::vector<std::int64_t> columns, const at::Tensor& values) {
  auto rows = at::zeros({static_cast<std::int64_t>(columns.size())}, at::kLong);
  return at::sparse_coo_tensor(at::stack({rows, torch::tensor(columns)}), values, {4, 4});
}

at::Tensor per_channel(const at::Tensor& dense) {
  return at::quantize_per_channel(dense, torch::tensor({0.1, 0.2, 0.3}, at::kDouble),
                                  torch::tensor({0, 1, 2}, at::kLong), 0, at::kQInt8);
}

// `seed` decides the content and nothing else; sparse ones may have another number of elements.
Tensors kinds(std::uint64_t seed) {
  torch::manual_seed(seed);
  const auto extra = static_cast<std::int64_t>(seed % 2);
  auto base = at::randn({8, 8});
  auto complex = at::randn({6}, at::kComplexFloat);
  Tensors all{
      {"0-d", at::randn({})},
      {"empty", at::empty({0, 3})},
      {"bool", at::randn({9}).gt(0)},
      {"half", at::randn({9}).to(at::kHalf)},
      {"bfloat16", at::randn({9}).to(at::kBFloat16)},
      {"complex double", at::randn({9}, at::kComplexDouble)},
      {"base", base},
      {"tied", base},
      {"row", base[3]},
      {"column", base.select(1, 2)},
      {"transposed", base.t()},
      {"every other", base.slice(0, 1, 8, 2)},
      {"channels_last", at::randn({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast)},
      {"expanded", at::randn({1, 5}).expand({4, 5})},
      {"complex", complex},
      {"imaginary view", at::imag(complex)},
      {"conj", complex.conj()},
      {"neg", at::imag(complex.conj())},
      {"frozen", at::randn({3})},
      {"trained", at::randn({3}).set_requires_grad(true)},
      {"quantized",
       at::quantize_per_tensor(at::randn({3, 4}), seed == 1 ? 0.1 : 0.3, 10, at::kQUInt8)},
      {"per channel", per_channel(at::randn({3, 4}))},
      {"coo", coo({1, 1, 3}, at::randn({3}))},
      {"coalesced", coo({0, 2}, at::randn({2})).coalesce()},
      {"other nnz", coo(std::vector<std::int64_t>(static_cast<std::size_t>(2 + extra), 1),
                        at::randn({2 + extra}))},
      {"csr", at::randn({4, 4}).to_sparse_csr()},
      {"csr other nnz", (at::eye(4) * at::arange(4).gt(extra)).to_sparse_csr()},
      {"meta", at::empty({3, 4}, at::kMeta).t()},
  };
  return all;
}

std::string raw(at::Tensor tensor) {
  if (tensor.is_conj()) tensor = tensor.conj();
  if (tensor.is_neg()) tensor = tensor._neg_view();
  tensor = tensor.detach().contiguous();
  return {static_cast<const char*>(tensor.data_ptr()), tensor.nbytes()};
}

void expect_same(const std::string& name, const at::Tensor& a, const at::Tensor& b) {
  ASSERT_EQ(a.layout(), b.layout()) << name;
  ASSERT_EQ(a.scalar_type(), b.scalar_type()) << name;
  EXPECT_EQ(a.sizes(), b.sizes()) << name;
  EXPECT_EQ(a.requires_grad(), b.requires_grad()) << name;
  EXPECT_EQ(a.is_meta(), b.is_meta()) << name;
  if (a.is_sparse()) {
    EXPECT_EQ(a.is_coalesced(), b.is_coalesced()) << name;
    EXPECT_EQ(raw(a._indices()), raw(b._indices())) << name;
    EXPECT_EQ(raw(a._values()), raw(b._values())) << name;
  } else if (a.layout() == at::kSparseCsr) {
    EXPECT_EQ(raw(a.crow_indices()), raw(b.crow_indices())) << name;
    EXPECT_EQ(raw(a.col_indices()), raw(b.col_indices())) << name;
    EXPECT_EQ(raw(a.values()), raw(b.values())) << name;
  } else if (a.is_quantized()) {
    EXPECT_EQ(raw(a.int_repr()), raw(b.int_repr())) << name;
    EXPECT_EQ(raw(a.dequantize()), raw(b.dequantize())) << name;
    EXPECT_EQ(a.qscheme(), b.qscheme()) << name;
  } else {
    EXPECT_EQ(a.strides(), b.strides()) << name;
    EXPECT_EQ(a.is_conj(), b.is_conj()) << name;
    EXPECT_EQ(a.is_neg(), b.is_neg()) << name;
    if (!a.is_meta()) {
      EXPECT_EQ(raw(a), raw(b)) << name;
    }
  }
}

bool has_storage(const at::Tensor& tensor) { return is_dense(tensor) && tensor.numel() > 0; }

void expect_same_sharing(const Tensors& a, const Tensors& b) {
  int shared = 0;
  for (const auto& [x, first] : a) {
    for (const auto& [y, second] : a) {
      if (x >= y || !has_storage(first) || !has_storage(second)) continue;
      const bool alias = first.is_alias_of(second);
      EXPECT_EQ(b.at(x).is_alias_of(b.at(y)), alias) << x << " and " << y;
      shared += alias ? 1 : 0;
    }
  }
  EXPECT_GT(shared, 10);
}

// A part that has them all.
struct Everything : Part {
  explicit Everything(std::uint64_t seed) : tensors(kinds(seed)) {}
  void save(PartWriter& out) const override {
    for (const auto& [name, tensor] : tensors) out.tensor(name, tensor);
  }
  void check(PartReader& in) override {
    for (const auto& [name, tensor] : tensors) in.tensor(name, tensor);
  }
  Tensors tensors;
};

class TensorKinds : public ::testing::Test {
 protected:
  std::string refuse(Everything& part) {
    const Tensors before = copies(part.tensors);
    std::string message =
        error_of(ErrorCode::mismatch, [&] { load_file(file_, TrainingState().part("all", part)); });
    for (const auto& [name, tensor] : before) expect_same(name, tensor, part.tensors.at(name));
    EXPECT_TRUE(contains(message, "nothing was changed"));
    return message;
  }
  static Tensors copies(const Tensors& tensors) {
    TemporaryDirectory folder;
    StateDict state;
    for (const auto& [name, tensor] : tensors) add_tensor(state, name, tensor);
    save_file(folder / "copy.ckp", state);
    return read_tensors(open_file(folder / "copy.ckp"));
  }
  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "all.ckp";
};

TEST_F(TensorKinds, ReadAnew) {
  const Tensors all = kinds(1);
  ASSERT_GE(all.size(), 20u);
  const Tensors read = copies(all);
  ASSERT_EQ(read.size(), all.size());
  for (const auto& [name, tensor] : all) expect_same(name, tensor, read.at(name));
  expect_same_sharing(all, read);
}

TEST_F(TensorKinds, RestoredInPlace) {
  Everything saved(1), loaded(2);
  std::map<std::string, const void*> objects;
  for (const auto& [name, tensor] : loaded.tensors) objects[name] = tensor.unsafeGetTensorImpl();
  save_file(file_, TrainingState().part("all", saved));
  RestoreReport report = load_file(file_, TrainingState().part("all", loaded));
  EXPECT_TRUE(report.missing.empty());
  EXPECT_TRUE(report.ignored.empty());
  for (const auto& [name, tensor] : saved.tensors) {
    expect_same(name, tensor, loaded.tensors.at(name));
    EXPECT_EQ(objects[name], loaded.tensors.at(name).unsafeGetTensorImpl()) << name;
  }
  expect_same_sharing(saved.tensors, loaded.tensors);
}

TEST_F(TensorKinds, OneTensorIsReadByName) {
  Everything saved(1);
  save_file(file_, TrainingState().part("all", saved));
  Checkpoint checkpoint = open_file(file_);
  for (const char* name : {"coo", "csr", "quantized", "per channel", "meta", "conj"}) {
    expect_same(name, saved.tensors.at(name), read_tensor(checkpoint, std::string("all/") + name));
  }
}

TEST_F(TensorKinds, WhatDoesNotFitIsNamedAndNothingChanges) {
  Everything saved(1), shape(2), kind(2), dense(2), sparse(2);
  save_file(file_, TrainingState().part("all", saved));
  shape.tensors["coo"] = at::sparse_coo_tensor(at::zeros({2, 1}, at::kLong), at::ones({1}), {9, 4});
  EXPECT_TRUE(contains(refuse(shape),
                       "all/coo: the all has sparse_coo, shape [9, 4] float32, the checkpoint has "
                       "sparse_coo, shape [4, 4] float32"));
  kind.tensors["csr"] = at::eye(4).to_sparse();
  EXPECT_TRUE(contains(refuse(kind), "the checkpoint has sparse_csr, shape [4, 4] float32"));
  dense.tensors["meta"] = at::zeros({4, 3});
  EXPECT_TRUE(contains(refuse(dense),
                       "all/meta: the all has shape [4, 3] float32, the checkpoint has meta"));
  sparse.tensors["row"] = at::eye(4).to_sparse();
  EXPECT_TRUE(contains(refuse(sparse), "the checkpoint has a dense tensor"));
}

// Of the same kind, with another type or one more row.
at::Tensor another(const at::Tensor& tensor, bool other_type) {
  auto sizes = tensor.sizes().vec();
  if (!other_type && sizes.empty()) sizes.push_back(2);
  if (!other_type && !tensor.sizes().empty()) sizes.back() += 1;
  if (tensor.is_quantized()) {
    const at::ScalarType quantized = tensor.scalar_type() == at::kQInt8 ? at::kQUInt8 : at::kQInt8;
    const at::ScalarType type = other_type ? quantized : tensor.scalar_type();
    if (tensor.qscheme() == at::kPerTensorAffine) {
      return at::quantize_per_tensor(at::zeros(sizes), 0.1, 10, type);
    }
    return at::quantize_per_channel(at::zeros(sizes), tensor.q_per_channel_scales(),
                                    tensor.q_per_channel_zero_points(), 0, type);
  }
  const at::ScalarType wide = tensor.scalar_type() == at::kDouble ? at::kFloat : at::kDouble;
  const at::Tensor dense = at::zeros(sizes, other_type ? wide : tensor.scalar_type());
  if (tensor.is_sparse()) return dense.to_sparse();
  if (tensor.layout() == at::kSparseCsr) return dense.to_sparse_csr();
  return tensor.is_meta() ? dense.to(at::kMeta) : dense;
}

TEST_F(TensorKinds, AnotherShapeTypeOrNameOfAnyKindIsRefusedAndNothingChanges) {
  Everything saved(1);
  save_file(file_, TrainingState().part("all", saved));
  for (const auto& [name, tensor] : saved.tensors) {
    for (const bool other_type : {false, true}) {
      Everything part(2);
      part.tensors[name] = another(tensor, other_type);
      EXPECT_TRUE(contains(refuse(part), "all/" + name + ": the all has "));
    }
    Everything part(2);
    auto node = part.tensors.extract(name);
    node.key() = name + " of old";
    part.tensors.insert(std::move(node));
    EXPECT_TRUE(contains(refuse(part), "all/" + name + " of old: not in the checkpoint"));
  }
}

// What belongs to a model, to an optimizer and to averages, seen from another part.
struct Seen : Part {
  Seen(SmallNet& net, torch::optim::Adam& adam)
      : row(net->fc1->weight.detach()[1]), column(net->fc2->weight.detach().select(1, 2)) {
    for (const auto& [key, state] : adam.state()) {
      moments.push_back(static_cast<torch::optim::AdamParamState&>(*state).exp_avg());
    }
    std::sort(moments.begin(), moments.end(),
              [](const at::Tensor& a, const at::Tensor& b) { return a.numel() < b.numel(); });
  }
  void save(PartWriter& out) const override {
    out.tensor("row", row);
    out.tensor("column", column);
    out.tensor("moment", moments.back().t());
  }
  void check(PartReader& in) override {
    in.tensor("row", row);
    in.tensor("column", column);
    in.tensor("moment", moments.back().t());
  }
  at::Tensor row, column;
  std::vector<at::Tensor> moments;
};

TEST_F(TensorKinds, PartsMayShareStorages) {
  SmallNet net, loaded;
  torch::optim::Adam adam(net->parameters(), 0.1), fresh(loaded->parameters(), 0.1);
  train(net, adam, 0, 2);
  train(loaded, fresh, 7, 2);
  Seen seen(net, adam), there(loaded, fresh);
  auto state = [](SmallNet& n, torch::optim::Adam& a, Seen& s) {
    return TrainingState().model("model", n).optimizer("optimizer", a).part("seen", s);
  };
  save_file(file_, state(net, adam, seen));
  const auto read = read_tensors(open_file(file_));
  for (const auto& [mine, theirs] :
       Tensors{{"seen/row", read.at("model/fc1.weight")},
               {"seen/column", read.at("model/fc2.weight")},
               {"seen/moment", read.at("optimizer/fc1.weight/exp_avg")}}) {
    EXPECT_TRUE(read.at(mine).is_alias_of(theirs)) << mine;
  }
  load_file(file_, state(loaded, fresh, there));
  EXPECT_EQ(digest(loaded), digest(net));
  EXPECT_TRUE(there.row.is_alias_of(loaded->fc1->weight));
  EXPECT_EQ(raw(there.row), raw(net->fc1->weight[1]));
  train(net, adam, 2, 2);
  train(loaded, fresh, 2, 2);
  EXPECT_EQ(digest(loaded), digest(net));
}

struct Sparse : torch::nn::Module {
  explicit Sparse(double value) {
    register_buffer("adjacency", coo({1, 2}, at::full({2}, value)));
    register_parameter("weight", at::full({2}, value));
  }
};

TEST_F(TensorKinds, InAModel) {
  Sparse saved(1), loaded(2);
  libtorch::save_file(file_, saved);
  EXPECT_EQ(state_digest(open_file(file_), "model").total, weights_digest(saved));
  EXPECT_NE(weights_digest(loaded), weights_digest(saved));
  load_file(file_, loaded);
  EXPECT_EQ(weights_digest(loaded), weights_digest(saved));
}

TEST_F(TensorKinds, ASmallViewStoresTheSpanThatItTouches) {
  auto large = at::zeros({1000, 1000});
  StateDict state;
  add_tensor(state, "all/view", large.slice(0, 3, 5));
  SaveReport report = ckp::save_file(file_, state);
  EXPECT_EQ(report.checkpoint.tensor_bytes, 2 * 1000 * sizeof(float));
}

}  // namespace
}  // namespace ckp::test

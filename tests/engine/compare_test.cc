// Comparing checkpoints tensor by tensor.
#include "ckp/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/sample_states.h"
#include "engine/store_fixture.h"

namespace ckp {
namespace {

using test::expect_error;
using test::view_of;
using ChangeKind = TensorChange::Kind;

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

template <class T>
std::vector<std::byte> bytes_with(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

const TensorChange& change_of(const std::vector<TensorChange>& changes, std::string_view name) {
  for (const TensorChange& change : changes) {
    if (change.name == name) return change;
  }
  throw std::runtime_error("no tensor " + std::string(name));
}

class CompareTest : public test::StoreTest {
 protected:
  void SetUp() override { std::filesystem::create_directory(directory_ / "files"); }
  // A checkpoint of its own with one tensor "t", or with what `state` has.
  Checkpoint file_of(const StateDict& state, const std::string& name) {
    const auto file = directory_ / "files" / (name + ".ckp");
    SaveOptions options;
    options.encode.chunk_size = 4096;
    save_file(file, state, options);
    return open_file(file);
  }
  TensorChange compare_views(const TensorView& a, const TensorView& b,
                             Norms norms = Norms::changed_tensors) {
    StateDict state_a, state_b;
    state_a.add("t", a);
    state_b.add("t", b);
    const auto changes =
        compare(file_of(state_a, "a"), file_of(state_b, "b"), {.only = "", .norms = norms});
    EXPECT_EQ(changes.size(), 1u);
    return changes.at(0);
  }
  template <class T>
  TensorChange compare_values(DType dtype, const std::vector<T>& a, const std::vector<T>& b) {
    const auto bytes_a = bytes_with(a);
    const auto bytes_b = bytes_with(b);
    const auto count = static_cast<std::int64_t>(bytes_a.size() / size_of(dtype));
    return compare_views(view_of(bytes_a, dtype, {count}, {1}),
                         view_of(bytes_b, dtype, {count}, {1}));
  }
};

TEST_F(CompareTest, EachTensorIsUnchangedOrTellsHowItDiffers) {
  const std::vector<float> ones(8, 1.0f), other{1, 1, 1, 3, 1, 1, 0, 1};
  StateDict a, b;
  a.add("m/same", contiguous_view(DType::float32, {8}, ones.data()));
  b.add("m/same", contiguous_view(DType::float32, {8}, ones.data()));
  a.add("m/changed", contiguous_view(DType::float32, {2, 4}, ones.data()));
  b.add("m/changed", contiguous_view(DType::float32, {2, 4}, other.data()));
  a.add("m/shape", contiguous_view(DType::float32, {8}, ones.data()));
  b.add("m/shape", contiguous_view(DType::float32, {2, 4}, ones.data()));
  a.add("m/dtype", contiguous_view(DType::float32, {8}, ones.data()));
  b.add("m/dtype", contiguous_view(DType::int32, {8}, ones.data()));
  a.add("only/a", contiguous_view(DType::float32, {8}, ones.data()));
  b.add("only/b", contiguous_view(DType::float32, {8}, ones.data()));
  const auto changes = compare(file_of(a, "a"), file_of(b, "b"));
  ASSERT_EQ(changes.size(), 6u);
  EXPECT_EQ(change_of(changes, "m/same").kind, ChangeKind::unchanged);
  EXPECT_EQ(change_of(changes, "m/same").relative(), 0.0);
  EXPECT_EQ(change_of(changes, "m/shape").kind, ChangeKind::other_type);
  EXPECT_EQ(change_of(changes, "m/dtype").kind, ChangeKind::other_type);
  EXPECT_EQ(change_of(changes, "m/dtype").b->dtype, DType::int32);
  EXPECT_EQ(change_of(changes, "only/a").kind, ChangeKind::only_in_a);
  EXPECT_FALSE(change_of(changes, "only/a").b.has_value());
  EXPECT_EQ(change_of(changes, "only/b").kind, ChangeKind::only_in_b);
  const TensorChange& changed = change_of(changes, "m/changed");
  EXPECT_EQ(changed.kind, ChangeKind::changed);
  EXPECT_EQ(changed.elements, 8u);
  EXPECT_EQ(changed.changed, 2u);
  EXPECT_DOUBLE_EQ(*changed.norm_a, std::sqrt(8.0));
  EXPECT_DOUBLE_EQ(*changed.norm_b, std::sqrt(15.0));
  EXPECT_DOUBLE_EQ(*changed.norm_change, std::sqrt(5.0));
  EXPECT_DOUBLE_EQ(*changed.relative(), std::sqrt(5.0 / 8.0));
  EXPECT_EQ(changed.max_change, 2.0);
  EXPECT_FALSE(changed.new_nonfinite.has_value());
}

// Values of each float type, as the bits of 1, 1.5, -2 and the smallest there is.
TEST_F(CompareTest, EveryFloatTypeIsCalculatedWithAsItIs) {
  const auto expect = [&](const TensorChange& change, double smallest) {
    EXPECT_EQ(change.changed, 2u);
    EXPECT_EQ(change.max_change, 3.5);
    EXPECT_DOUBLE_EQ(*change.norm_a, std::sqrt(1.0 + 2.25 + 1.0));
    EXPECT_DOUBLE_EQ(*change.norm_change, std::sqrt(3.5 * 3.5 + smallest * smallest));
  };
  expect(compare_values<std::uint16_t>(DType::float16, {0x3c00, 0x3e00, 0x3c00, 0},
                                       {0x3c00, 0xc000, 0x3c00, 1}),
         std::ldexp(1.0, -24));
  expect(compare_values<std::uint16_t>(DType::bfloat16, {0x3f80, 0x3fc0, 0x3f80, 0},
                                       {0x3f80, 0xc000, 0x3f80, 1}),
         std::ldexp(1.0, -133));
  expect(compare_values<float>(DType::float32, {1, 1.5f, 1, 0}, {1, -2, 1, 1e-40f}), 1e-40f);
  expect(compare_values<double>(DType::float64, {1, 1.5, 1, 0}, {1, -2, 1, 1e-300}), 1e-300);
}

TEST_F(CompareTest, SquaresOfDoublesNeitherOverflowNorVanish) {
  const TensorChange large = compare_values<double>(DType::float64, {3e200, 4e200}, {0, 0});
  EXPECT_DOUBLE_EQ(*large.norm_a, 5e200);
  EXPECT_DOUBLE_EQ(*large.relative(), 1.0);
  const TensorChange tiny = compare_values<double>(DType::float64, {3e-200, 4e-200}, {0, 0});
  EXPECT_DOUBLE_EQ(*tiny.norm_a, 5e-200);
}

TEST_F(CompareTest, IntegersAreComparedExactly) {
  const std::int64_t large = std::int64_t{1} << 60;
  const TensorChange near = compare_values<std::int64_t>(DType::int64, {large, 5}, {large + 1, 5});
  EXPECT_EQ(near.changed, 1u) << "equal when rounded to doubles";
  EXPECT_EQ(near.max_change, 1.0);
  const TensorChange far =
      compare_values<std::int64_t>(DType::int64, {std::numeric_limits<std::int64_t>::min()},
                                   {std::numeric_limits<std::int64_t>::max()});
  EXPECT_EQ(far.max_change, std::ldexp(1.0, 64));
  EXPECT_EQ(compare_values<std::uint8_t>(DType::uint8, {1, 250}, {1, 5}).max_change, 245.0);
  EXPECT_EQ(compare_values<std::uint8_t>(DType::boolean, {1, 0}, {0, 0}).changed, 1u);
}

TEST_F(CompareTest, ComplexNumbersCountOnceAndAreMeasuredByComponents) {
  const TensorChange change =
      compare_values<float>(DType::complex64, {1, 2, 3, 4}, {4, 6, 3, not_a_number});
  EXPECT_EQ(change.elements, 2u);
  EXPECT_EQ(change.changed, 2u);
  EXPECT_DOUBLE_EQ(*change.norm_change, 5.0);
  EXPECT_EQ(change.max_change, 4.0);
  ASSERT_TRUE(change.new_nonfinite.has_value());
  EXPECT_EQ(change.new_nonfinite->number, 1u);
  EXPECT_EQ(change.nonfinite_a, 0u);
  EXPECT_EQ(change.nonfinite_b, 1u);
}

// Once each, also where both components are, and also of what is equal on both sides.
TEST_F(CompareTest, ElementsThatAreNotFiniteAreCounted) {
  const std::vector<float> values{not_a_number, infinity, 1, infinity, 5, 6, 7, 8};
  const auto bytes = bytes_with(values);
  const TensorView view = view_of(bytes, DType::complex64, {4}, {1});
  const TensorChange same = compare_views(view, view, Norms::all_tensors);
  EXPECT_EQ(same.nonfinite_a, 2u);
  EXPECT_EQ(same.nonfinite_b, 2u);
  EXPECT_DOUBLE_EQ(*same.norm_a, std::sqrt(1.0 + 25 + 36 + 49 + 64));
  const TensorChange repeated =
      compare_views(view_of(bytes, DType::float32, {3, 2}, {0, 1}),
                    view_of(bytes, DType::float32, {3, 2}, {0, 1}), Norms::all_tensors);
  EXPECT_EQ(repeated.nonfinite_a, 6u);
  const auto eighths = bytes_with<std::uint8_t>({1, 0x7c, 3});
  const TensorView small = view_of(eighths, DType::float8_e5m2, {3}, {1});
  EXPECT_EQ(compare_views(small, small, Norms::all_tensors).nonfinite_b, 1u);
}

TEST_F(CompareTest, ALazyConjugationIsAChange) {
  const auto bytes = bytes_with<float>({1, 2, 3, 0});
  TensorView plain = view_of(bytes, DType::complex64, {2}, {1});
  TensorView conjugate = plain;
  conjugate.flags = format::tensor_flag::conjugate;
  const TensorChange change = compare_views(plain, conjugate);
  EXPECT_EQ(change.kind, ChangeKind::changed);
  EXPECT_EQ(change.max_change, 4.0);
  EXPECT_EQ(compare_views(conjugate, conjugate).kind, ChangeKind::unchanged);
  const auto conjugated = bytes_with<float>({1, -2, 3, -0.0f});
  EXPECT_EQ(compare_views(conjugate, view_of(conjugated, DType::complex64, {2}, {1})).kind,
            ChangeKind::unchanged);
}

TEST_F(CompareTest, Float8IsComparedByItsBits) {
  const TensorChange change =
      compare_values<std::uint8_t>(DType::float8_e5m2, {1, 2, 3}, {1, 0x7c, 4});
  EXPECT_EQ(change.changed, 2u);
  EXPECT_FALSE(change.norm_change.has_value());
  EXPECT_FALSE(change.relative().has_value());
  ASSERT_TRUE(change.new_nonfinite.has_value());
  EXPECT_EQ(change.new_nonfinite->number, 1u);
  EXPECT_FALSE(change.new_nonfinite->nan);
}

TEST_F(CompareTest, TheFirstNewNonfiniteElementIsNamedByItsIndex) {
  // Infinite in both at [0, 1]; memory holds the transposed tensor, so that the first in memory
  // ([2, 0]) is not the first of the tensor ([1, 1]).
  const std::vector<float> a{1, 1, 1, infinity, 1, 1},
      b{1, 1, not_a_number, infinity, -infinity, 1};
  const auto bytes_a = bytes_with(a), bytes_b = bytes_with(b);
  const TensorChange change = compare_views(view_of(bytes_a, DType::float32, {3, 2}, {1, 3}),
                                            view_of(bytes_b, DType::float32, {3, 2}, {1, 3}));
  ASSERT_TRUE(change.new_nonfinite.has_value());
  EXPECT_EQ(change.new_nonfinite->number, 3u);
  EXPECT_EQ(change.new_nonfinite->index, (std::vector<std::int64_t>{1, 1}));
  EXPECT_FALSE(change.new_nonfinite->nan);
  EXPECT_EQ(change.changed, 2u);
  EXPECT_EQ(change.norm_change, 0.0) << "infinities are in no norm";
  EXPECT_DOUBLE_EQ(*change.norm_a, std::sqrt(3.0)) << "of what is finite in both";
}

// Against the row-major elements, found the slow way; over many chunks, with gaps and repeats.
TEST_F(CompareTest, StridesOnEitherSideDoNotMatter) {
  const auto floats = [](std::size_t count, float scale) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
      values[i] = std::sin(scale * static_cast<float>(i % 977));
    }
    return bytes_with(values);
  };
  const auto memory_a = floats(40'000, 0.37f);
  const auto memory_b = floats(40'000, 0.11f);
  const std::vector<std::int64_t> shape{30, 20, 11};
  const std::vector<std::vector<std::int64_t>> layouts{{220, 11, 1}, {1, 330, 30}, {220, 1, 20},
                                                       {500, 23, 2}, {220, 0, 1},  {0, 0, 0}};
  for (const auto& strides_a : layouts) {
    for (const auto& strides_b : layouts) {
      const TensorView a = view_of(memory_a, DType::float32, shape, strides_a, 3);
      const TensorView b = view_of(memory_b, DType::float32, shape, strides_b, 5);
      const auto elements_a = test::elements_of(a), elements_b = test::elements_of(b);
      double norm_a = 0, norm_change = 0, largest = 0;
      std::uint64_t changed = 0;
      for (std::size_t i = 0; i < elements_a.size(); i += sizeof(float)) {
        float x = 0, y = 0;
        std::memcpy(&x, elements_a.data() + i, sizeof x);
        std::memcpy(&y, elements_b.data() + i, sizeof y);
        norm_a += double{x} * double{x};
        norm_change += (double{y} - double{x}) * (double{y} - double{x});
        largest = std::max(largest, std::abs(double{y} - double{x}));
        changed += std::memcmp(&x, &y, sizeof x) != 0 ? 1 : 0;
      }
      const TensorChange change = compare_views(a, b);
      SCOPED_TRACE(::testing::PrintToString(strides_a) + ::testing::PrintToString(strides_b));
      EXPECT_EQ(change.changed, changed);
      EXPECT_EQ(change.elements, 30u * 20u * 11u);
      EXPECT_NEAR(*change.norm_a, std::sqrt(norm_a), 1e-9 * std::sqrt(norm_a));
      EXPECT_NEAR(*change.norm_change, std::sqrt(norm_change), 1e-9 * std::sqrt(norm_change));
      EXPECT_DOUBLE_EQ(*change.max_change, largest);
    }
  }
}

TEST_F(CompareTest, AnEmptyTensorIsUnchanged) {
  const std::vector<std::byte> nothing;
  const TensorChange change = compare_views(view_of(nothing, DType::float32, {0, 3}, {3, 1}),
                                            view_of(nothing, DType::float32, {0, 3}, {3, 1}));
  EXPECT_EQ(change.kind, ChangeKind::unchanged);
  EXPECT_EQ(change.elements, 0u);
}

class CompareChunksTest : public CompareTest {
 protected:
  // Three chunks of which the middle one differs, and a tensor that never changes.
  CompareChunksTest() {
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = 1.0f + static_cast<float>(i);
    frozen_ = values_;
    for (float& value : frozen_) value = -value;
    a_.add("frozen", contiguous_view(DType::float32, {3072}, frozen_.data()));
    b_.add("frozen", contiguous_view(DType::float32, {3072}, frozen_.data()));
    a_.add("part", contiguous_view(DType::float32, {3072}, values_.data()));
    other_ = values_;
    other_[1500] += 1;
    b_.add("part", contiguous_view(DType::float32, {3072}, other_.data()));
  }
  // Flips a bit of a chunk's stored bytes in a file: opening it does not notice.
  void damage(const std::string& name, const std::string& tensor, std::size_t piece) {
    const auto file = directory_ / "files" / (name + ".ckp");
    const Checkpoint checkpoint = open_file(file);
    const auto& manifest = checkpoint.manifest();
    const auto& storage = manifest.storages[manifest.find(tensor)->storage];
    const std::uint32_t number =
        manifest.references[storage.pieces.at(piece).reference].address.number;
    const auto source = FileSource(posix_file_system()->open(file, OpenMode::read));
    const auto directory = format::read_directory(source);
    const std::uint64_t at = directory.find_chunk(number)->offset + format::RecordHeader::size + 5;
    std::byte byte{};
    source.read(at, {&byte, 1});
    byte ^= std::byte{0x10};
    posix_file_system()->open(file, OpenMode::read_write)->write_at(at, {&byte, 1});
  }
  std::vector<float> values_ = std::vector<float>(3072), frozen_, other_;
  StateDict a_, b_;
};

TEST_F(CompareChunksTest, EqualChunksAreNeverRead) {
  file_of(a_, "a");
  file_of(b_, "b");
  for (const std::size_t piece : {0u, 1u, 2u}) damage("a", "frozen", piece);
  for (const std::size_t piece : {0u, 2u}) damage("b", "part", piece);
  for (const std::size_t piece : {0u, 2u}) damage("a", "part", piece);
  const Checkpoint a = open_file(directory_ / "files/a.ckp");
  const Checkpoint b = open_file(directory_ / "files/b.ckp");
  const auto changes = compare(a, b);
  EXPECT_EQ(change_of(changes, "frozen").kind, ChangeKind::unchanged) << changes[0].damage;
  const TensorChange& part = change_of(changes, "part");
  EXPECT_EQ(part.kind, ChangeKind::changed) << part.damage;
  EXPECT_EQ(part.changed, 1u);
  EXPECT_EQ(part.norm_change, 1.0);
  EXPECT_FALSE(part.whole_norms);
  double middle = 0;
  for (std::size_t i = 1024; i < 2048; ++i) middle += double{values_[i]} * double{values_[i]};
  EXPECT_DOUBLE_EQ(*part.norm_a, std::sqrt(middle));
  // With the whole norm they are, but only of the tensor that differs.
  const auto whole = compare(a, b, {.only = "", .norms = Norms::changed_tensors});
  EXPECT_EQ(change_of(whole, "frozen").kind, ChangeKind::unchanged);
  EXPECT_EQ(change_of(whole, "part").kind, ChangeKind::unreadable);
}

TEST_F(CompareChunksTest, TheWholeNormCountsEqualChunks) {
  const auto changes = compare(file_of(a_, "a"), file_of(b_, "b"),
                               {.only = "part", .norms = Norms::changed_tensors});
  ASSERT_EQ(changes.size(), 1u);
  double all = 0;
  for (const float value : values_) all += double{value} * double{value};
  EXPECT_TRUE(changes[0].whole_norms);
  EXPECT_DOUBLE_EQ(*changes[0].norm_a, std::sqrt(all));
  EXPECT_DOUBLE_EQ(*changes[0].relative(), 1 / std::sqrt(all));
}

TEST_F(CompareChunksTest, ADamagedChunkIsNamedAndTheOthersAreCompared) {
  const std::vector<float> ones(2000, 1.0f), twos(2000, 2.0f);
  a_.add("z", contiguous_view(DType::float32, {2000}, ones.data()));
  b_.add("z", contiguous_view(DType::float32, {2000}, twos.data()));
  file_of(a_, "a");
  file_of(b_, "b");
  damage("b", "part", 1);
  const auto changes =
      compare(open_file(directory_ / "files/a.ckp"), open_file(directory_ / "files/b.ckp"));
  const TensorChange& part = change_of(changes, "part");
  EXPECT_EQ(part.kind, ChangeKind::unreadable);
  EXPECT_NE(part.damage.find("b.ckp"), std::string::npos) << part.damage;
  EXPECT_NE(part.damage.find("chunk"), std::string::npos) << part.damage;
  EXPECT_FALSE(part.norm_a.has_value());
  EXPECT_EQ(change_of(changes, "z").kind, ChangeKind::changed);
  EXPECT_EQ(change_of(changes, "z").changed, 2000u);
}

TEST_F(CompareTest, PatternsSelectTensors) {
  EXPECT_TRUE(matches_name("model", "model/fc.weight"));
  EXPECT_TRUE(matches_name("model/fc.weight", "model/fc.weight"));
  EXPECT_FALSE(matches_name("model/fc", "model/fc.weight"));
  EXPECT_FALSE(matches_name("mod", "model/fc.weight"));
  EXPECT_TRUE(matches_name("*.weight", "model/fc.weight"));
  EXPECT_FALSE(matches_name("*.weight", "model/fc.weight/exp_avg"));
  EXPECT_TRUE(matches_name("model/*c.?eight", "model/fc.weight"));
  EXPECT_FALSE(matches_name("?odel", "model/fc.weight"));
  EXPECT_TRUE(matches_name("*a*b*", "xxaxaxbx"));
  EXPECT_FALSE(matches_name("*a*b*a", "xxaxaxbx"));
  const std::vector<float> one{1};
  StateDict state;
  state.add("model/fc.weight", contiguous_view(DType::float32, {1}, one.data()));
  state.add("model/fc.bias", contiguous_view(DType::float32, {1}, one.data()));
  const Checkpoint file = file_of(state, "a");
  EXPECT_EQ(compare(file, file, {.only = "model/*"}).size(), 2u);
  EXPECT_EQ(compare(file, file, {.only = "*bias"}).size(), 1u);
  expect_error(ErrorCode::not_found, "closest names: model/fc.weight, model/fc.bias",
               [&] { compare(file, file, {.only = "model/fc.weigth"}); });
}

TEST(CompareValues, MembersOfNestedMapsAreNamedByTheirPaths) {
  Value::Map a, b;
  a["lr"] = Value(0.1);
  b["lr"] = Value(0.1);
  a["sizes"] = Value(Value::List{Value(1), Value(2)});
  b["sizes"] = Value(Value::List{Value(1), Value(3)});
  a["nested"]["gone"] = Value(1);
  b["nested"]["new"]["deep"] = Value("x");
  a["kind"]["x"] = Value(1);
  b["kind"] = Value(2);
  b["empty"] = Value(Value::Map{});
  const auto changes = compare(a, b);
  std::vector<std::string> paths;
  for (const ValueChange& change : changes) paths.push_back(change.path);
  EXPECT_EQ(paths,
            (std::vector<std::string>{"empty", "kind", "nested/gone", "nested/new/deep", "sizes"}));
  EXPECT_FALSE(changes[0].a.has_value());
  EXPECT_EQ(changes[1].b, Value(2));
  EXPECT_FALSE(changes[2].b.has_value());
}

}  // namespace
}  // namespace ckp

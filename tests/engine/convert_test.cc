// safetensors files and checkpoints, there and back.
#include "ckp/convert.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

#include "ckp/error.h"
#include "convert/safetensors_header.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// A safetensors file as another program would write it: data byte k is a function of k.
std::string make_file(safetensors::Header header) {
  safetensors::lay_out(header.tensors);
  std::string bytes = safetensors::encode_header(header);
  const std::uint64_t size = header.tensors.empty() ? 0 : header.tensors.back().end;
  for (std::uint64_t k = 0; k < size; ++k) bytes.push_back(static_cast<char>(k * 7 + k / 251));
  return bytes;
}

safetensors::Header header_of(const std::string& file) {
  const auto bytes = std::as_bytes(std::span(file));
  const std::uint64_t length = safetensors::decode_length(bytes.first(8), file.size(), "test");
  return safetensors::decode_header(std::string_view(file).substr(8, length),
                                    file.size() - 8 - length, "test");
}

// The data of one tensor of a safetensors file.
std::string data_of(const std::string& file, std::string_view name) {
  for (const auto& tensor : header_of(file).tensors) {
    const std::size_t data = 8 + static_cast<unsigned char>(file[0]) +
                             256 * static_cast<std::size_t>(static_cast<unsigned char>(file[1]));
    if (tensor.name == name) return file.substr(data + tensor.begin, tensor.end - tensor.begin);
  }
  ADD_FAILURE() << "no tensor " << name;
  return {};
}

std::vector<std::string> names_of(const std::string& file) {
  std::vector<std::string> names;
  for (const auto& tensor : header_of(file).tensors) names.push_back(tensor.name);
  return names;
}

template <class T>
std::string raw_bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

class Convert : public testing::Test {
 protected:
  // A checkpoint with `state`, opened.
  Checkpoint save(const StateDict& state, const SaveOptions& options = {}) {
    save_file(dir_ / "state.ckp", state, options);
    return open_file(dir_ / "state.ckp");
  }
  std::string export_of(const Checkpoint& from, const ExportOptions& options = {}) {
    report_ = write_safetensors(from, dir_ / "out.safetensors", options);
    std::string file = read_text(dir_ / "out.safetensors");
    EXPECT_EQ(report_.bytes, file.size());
    return file;
  }
  // safetensors -> .ckp -> safetensors
  std::string there_and_back(const std::string& file) {
    write_text(dir_ / "in.safetensors", file);
    convert_safetensors(dir_ / "in.safetensors", dir_ / "in.ckp");
    return export_of(open_file(dir_ / "in.ckp"));
  }

  test::TemporaryDirectory dir_;
  ConvertReport report_;
};

TEST_F(Convert, EveryDtypeComesBackAsItWas) {
  safetensors::Header header;
  header.metadata.emplace();
  header.metadata->emplace("format", "pt");
  header.metadata->emplace("a/b", "ü \"\n");
  for (std::uint16_t number = 1; dtype_from_number(number); ++number) {
    const DType dtype = *dtype_from_number(number);
    if (!safetensors::dtype_name(dtype)) continue;
    header.tensors.push_back({fmt::format("block.0/{}", to_string(dtype)), dtype, {3, 5}, 0, 0});
    header.tensors.push_back({fmt::format("scalar.{}", to_string(dtype)), dtype, {}, 0, 0});
    header.tensors.push_back({fmt::format("empty.{}", to_string(dtype)), dtype, {2, 0}, 0, 0});
  }
  const std::string file = make_file(header);
  EXPECT_EQ(there_and_back(file), file);
  EXPECT_EQ(report_.tensors, header.tensors.size());
  EXPECT_TRUE(report_.left_out.empty());
}

TEST_F(Convert, AbsentAndEmptyMetadataComeBackAsTheyWere) {
  safetensors::Header header;
  header.tensors = {{"w", DType::float32, {2}, 0, 0}};
  EXPECT_EQ(there_and_back(make_file(header)), make_file(header));
  header.metadata.emplace();
  EXPECT_EQ(there_and_back(make_file(header)), make_file(header));
}

TEST_F(Convert, AFileWithoutTensorsComesBack) {
  EXPECT_EQ(there_and_back(make_file({})), make_file({}));
}

TEST_F(Convert, LargeTensorsArriveInSeveralBatches) {
  safetensors::Header header;
  header.tensors.push_back({"a", DType::uint8, {17 << 20}, 0, 0});
  header.tensors.push_back({"b", DType::uint8, {2 << 20}, 0, 0});
  header.tensors.push_back({"c", DType::uint8, {1 << 20}, 0, 0});
  header.tensors.push_back({"d", DType::int64, {3}, 0, 0});
  const std::string file = make_file(header);
  EXPECT_TRUE(there_and_back(file) == file);
}

TEST_F(Convert, AnyOrderOfTheDataIsTaken) {
  const std::string json = R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                           R"("a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})";
  std::string file(8, '\0');
  file[0] = static_cast<char>(json.size());
  const std::string back = there_and_back(file + json + "xyz");
  EXPECT_EQ(names_of(back), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(data_of(back, "a"), "z");
  EXPECT_EQ(data_of(back, "b"), "xy");
}

TEST_F(Convert, TheImportIsThePartModel) {
  safetensors::Header header;
  header.tensors = {{"fc.weight", DType::float32, {2, 2}, 0, 0}};
  header.metadata.emplace();
  header.metadata->emplace("k", "v");
  write_text(dir_ / "in.safetensors", make_file(header));
  const auto report = convert_safetensors(dir_ / "in.safetensors", dir_ / "in.ckp");
  EXPECT_EQ(report.tensors, 1u);
  EXPECT_EQ(report.bytes, fs::file_size(dir_ / "in.ckp"));
  const Checkpoint checkpoint = open_file(dir_ / "in.ckp");
  ASSERT_NE(checkpoint.manifest().find("model/fc.weight"), nullptr);
  EXPECT_EQ(find_value(checkpoint.values(), "safetensors/metadata/k")->as_string(), "v");
  EXPECT_TRUE(checkpoint.record().writer.starts_with("ckpstore "));
  EXPECT_GT(checkpoint.record().created_ns, 0);
  EXPECT_FALSE(checkpoint.record().nonfinite);
}

TEST_F(Convert, NanInTheFileMakesTheCheckpointNonfinite) {
  safetensors::Header header;
  header.tensors = {{"w", DType::float32, {1}, 0, 4}};
  write_text(dir_ / "in.safetensors",
             safetensors::encode_header(header) + std::string("\0\0\xc0\x7f", 4));
  convert_safetensors(dir_ / "in.safetensors", dir_ / "in.ckp");
  EXPECT_TRUE(open_file(dir_ / "in.ckp").record().nonfinite);
}

TEST_F(Convert, AFileThatLiesLeavesTheOldOneAlone) {
  safetensors::Header header;
  header.tensors = {{"w", DType::float32, {100}, 0, 0}};
  const std::string file = make_file(header);
  write_text(dir_ / "in.ckp", "the old file");
  for (const std::size_t size : {0ul, 7ul, 8ul, 30ul, file.size() - 1}) {
    write_text(dir_ / "in.safetensors", file.substr(0, size));
    expect_error(ErrorCode::corrupt, "in.safetensors",
                 [&] { convert_safetensors(dir_ / "in.safetensors", dir_ / "in.ckp"); });
  }
  EXPECT_EQ(read_text(dir_ / "in.ckp"), "the old file");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_.path()), {}), 2)
      << "something was left behind";
}

TEST_F(Convert, NamesThatACheckpointCannotHold) {
  for (const std::string& name :
       {std::string(""), std::string("a//b"), std::string("/a"), std::string("a/"),
        std::string("a\0b", 3), std::string(4096, 'x')}) {
    safetensors::Header header;
    header.tensors = {{name, DType::uint8, {1}, 0, 0}};
    write_text(dir_ / "in.safetensors", make_file(header));
    expect_error(ErrorCode::unsupported, "cannot be named so in a .ckp",
                 [&] { convert_safetensors(dir_ / "in.safetensors", dir_ / "in.ckp"); });
  }
}

// A small training state with the parts model, ema and optimizer.
struct Training {
  std::vector<float> weight{1, 2, 3, 4, 5, 6}, average{6, 5, 4, 3, 2, 1};
  StateDict state;
  SaveOptions options;

  Training() {
    state.add("model/fc.weight", contiguous_view(DType::float32, {2, 3}, weight.data()));
    state.add("ema/fc.weight", contiguous_view(DType::float32, {2, 3}, average.data()));
    state.add("optimizer/fc.weight/exp_avg", contiguous_view(DType::float32, {6}, average.data()));
    state.set("optimizer/groups", Value::List{Value::Map{{"lr", 0.1}}});
    state.set("config/hidden", 128);
    state.set("config/name", "cnn");
    state.set("config/scale", 0.1);
    state.set("config/layers", Value::List{1, 2, "x"});
    state.set("generator/cpu", Value::Bytes(8));
    options.epoch = 3;
    options.step = 40;
    options.metrics = {{"val/loss", 0.25}};
  }
};

TEST_F(Convert, ATrainingCheckpointExportsItsModel) {
  const Training training;
  const Checkpoint checkpoint = save(training.state, training.options);
  const std::string file = export_of(checkpoint);
  EXPECT_EQ(names_of(file), std::vector<std::string>{"fc.weight"});
  EXPECT_EQ(data_of(file, "fc.weight"), raw_bytes(training.weight));
  EXPECT_EQ(report_.tensors, 1u);
  EXPECT_EQ(report_.left_out, (std::vector<std::string>{"ema", "generator", "optimizer"}));
  const std::map<std::string, std::string> expected{{"format", "pt"},
                                                    {"epoch", "3"},
                                                    {"step", "40"},
                                                    {"checkpoint", checkpoint.record().id.hex()},
                                                    {"metrics/val/loss", "0.25"},
                                                    {"config/hidden", "128"},
                                                    {"config/name", "cnn"},
                                                    {"config/scale", "0.1"},
                                                    {"config/layers", R"([1,2,"x"])"}};
  EXPECT_EQ(header_of(file).metadata, expected);
}

TEST_F(Convert, PartsAreChosenByName) {
  const Training training;
  const Checkpoint checkpoint = save(training.state, training.options);
  const std::string ema = export_of(checkpoint, {.parts = {"ema"}});
  EXPECT_EQ(names_of(ema), std::vector<std::string>{"fc.weight"});
  EXPECT_EQ(data_of(ema, "fc.weight"), raw_bytes(training.average));
  EXPECT_EQ(report_.left_out, (std::vector<std::string>{"generator", "model", "optimizer"}));
  const std::string two = export_of(checkpoint, {.parts = {"model", "ema"}});
  EXPECT_EQ(names_of(two), (std::vector<std::string>{"ema/fc.weight", "model/fc.weight"}));
  const std::string all = export_of(checkpoint, {.parts = {}, .all = true});
  EXPECT_EQ(names_of(all), (std::vector<std::string>{"ema/fc.weight", "model/fc.weight",
                                                     "optimizer/fc.weight/exp_avg"}));
  EXPECT_EQ(header_of(all).metadata->at("optimizer/groups"), R"([{"lr":0.1}])");
  expect_error(ErrorCode::not_found, "no tensors in part 'teacher'; it has: ema, model, optimizer",
               [&] { export_of(checkpoint, {.parts = {"teacher"}}); });
}

TEST_F(Convert, WithoutAModelEverythingIsWritten) {
  const std::vector<std::uint8_t> data{1, 2, 3};
  StateDict state;
  state.add("plain", contiguous_view(DType::uint8, {3}, data.data()));
  state.add("net/w", contiguous_view(DType::uint8, {2}, data.data()));
  EXPECT_EQ(names_of(export_of(save(state))), (std::vector<std::string>{"net/w", "plain"}));
}

TEST_F(Convert, NamesThatBecomeEqualAreRefused) {
  const std::uint8_t data = 1;
  StateDict state;
  state.add("model", contiguous_view(DType::uint8, {}, &data));
  state.add("model/model", contiguous_view(DType::uint8, {}, &data));
  expect_error(ErrorCode::invalid_argument,
               "tensors model and model/model would both be named model",
               [&] { export_of(save(state)); });
}

TEST_F(Convert, SharedAndStridedTensorsBecomeRowMajorCopies) {
  const std::vector<std::int32_t> storage{0, 1, 2, 3, 4, 5, 6, 7};
  StateDict state;
  const auto add = [&](const char* name, std::vector<std::int64_t> shape,
                       std::vector<std::int64_t> strides, std::int64_t offset) {
    TensorView view;
    view.dtype = DType::int32;
    view.shape = std::move(shape);
    view.strides = std::move(strides);
    view.storage_offset = offset;
    view.storage = storage.data();
    view.storage_size = storage.size() * sizeof(std::int32_t);
    state.add(name, std::move(view));
  };
  add("model/matrix", {2, 3}, {3, 1}, 0);
  add("model/transposed", {3, 2}, {1, 3}, 0);
  add("model/tail", {2}, {2}, 5);
  add("model/expanded", {2, 2}, {0, 1}, 6);
  const std::string file = export_of(save(state));
  using Ints = std::vector<std::int32_t>;
  EXPECT_EQ(data_of(file, "matrix"), raw_bytes(Ints{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(data_of(file, "transposed"), raw_bytes(Ints{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(data_of(file, "tail"), raw_bytes(Ints{5, 7}));
  EXPECT_EQ(data_of(file, "expanded"), raw_bytes(Ints{6, 7, 6, 7}));
}

TEST_F(Convert, ConjugatesAndNegativesAreWrittenOut) {
  const std::vector<float> data{1, 2, -3, 4};
  StateDict state;
  TensorView conjugate = contiguous_view(DType::complex64, {2}, data.data());
  conjugate.flags = format::tensor_flag::conjugate;
  TensorView negative = contiguous_view(DType::float32, {4}, data.data());
  negative.flags = format::tensor_flag::negative;
  state.add("model/conjugate", conjugate);
  state.add("model/negative", negative);
  const std::string file = export_of(save(state));
  EXPECT_EQ(data_of(file, "conjugate"), raw_bytes(std::vector<float>{1, -2, -3, -4}));
  EXPECT_EQ(data_of(file, "negative"), raw_bytes(std::vector<float>{-1, -2, 3, -4}));
}

TEST_F(Convert, WhatSafetensorsCannotHold) {
  const std::vector<double> data{1, 2, 3, 4};
  StateDict state;
  state.add("model/spectrum", contiguous_view(DType::complex128, {2}, data.data()));
  expect_error(ErrorCode::unsupported, "tensor model/spectrum has dtype complex128",
               [&] { export_of(save(state)); });
  StateDict sharded;
  TensorView shard = contiguous_view(DType::float64, {4}, data.data());
  shard.global_shape = {8};
  shard.global_offset = {4};
  sharded.add("model/w", shard);
  expect_error(ErrorCode::unsupported, "tensor model/w is a shard of a tensor of shape [8]",
               [&] { export_of(save(sharded)); });
  StateDict reserved;
  reserved.add("model/__metadata__", contiguous_view(DType::float64, {4}, data.data()));
  expect_error(ErrorCode::unsupported, "a tensor named __metadata__",
               [&] { export_of(save(reserved)); });
}

TEST_F(Convert, SpecialMetricsAreSpelled) {
  const std::uint8_t data = 1;
  StateDict state;
  state.add("model/w", contiguous_view(DType::uint8, {}, &data));
  state.set("config/empty", Value::Map{});
  state.set("config/limit", std::numeric_limits<double>::infinity());
  state.set("config/none", nullptr);
  state.set("config/on", true);
  SaveOptions options;
  options.metrics = {{"nan", std::numeric_limits<double>::quiet_NaN()}};
  const auto metadata = *header_of(export_of(save(state, options))).metadata;
  EXPECT_EQ(metadata.at("metrics/nan"), "nan");
  EXPECT_EQ(metadata.at("config/limit"), "inf");
  EXPECT_EQ(metadata.at("config/empty"), "{}");
  EXPECT_EQ(metadata.at("config/none"), "null");
  EXPECT_EQ(metadata.at("config/on"), "true");
}

TEST_F(Convert, ValuesTooLongForMetadataAreReported) {
  const std::uint8_t data = 1;
  StateDict state;
  state.add("model/w", contiguous_view(DType::uint8, {}, &data));
  state.set("history/losses", std::string(70'000, 'x'));
  state.set("history/short", "y");
  const auto metadata = *header_of(export_of(save(state))).metadata;
  EXPECT_FALSE(metadata.contains("history/losses"));
  EXPECT_EQ(metadata.at("history/short"), "y");
  EXPECT_EQ(report_.left_out, std::vector<std::string>{"history"});
}

}  // namespace
}  // namespace ckp

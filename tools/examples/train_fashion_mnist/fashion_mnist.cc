#include "fashion_mnist.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ckp/error.h"
#include "idx_file.h"

namespace example {
namespace {

// Of the 60,000 training images, on the scale 0..1.
constexpr double kMean = 0.2860;
constexpr double kDeviation = 0.3530;

at::Tensor as_tensor(IdxFile& file) {
  return at::from_blob(file.bytes.data(), file.shape, at::TensorOptions(at::kByte));
}

}  // namespace

Dataset load_fashion_mnist(const std::filesystem::path& folder, bool training, std::int64_t size) {
  const std::string stem = training ? "train" : "t10k";
  IdxFile images = read_idx(folder / (stem + "-images-idx3-ubyte.gz"), size);
  IdxFile labels = read_idx(folder / (stem + "-labels-idx1-ubyte.gz"), size);
  if (images.shape.size() != 3 || labels.shape.size() != 1 || images.shape[0] != labels.shape[0] ||
      images.shape[1] != 28 || images.shape[2] != 28) {
    throw ckp::Error(
        ckp::ErrorCode::corrupt,
        fmt::format("{}: the {} files do not belong together: images [{}], labels [{}]",
                    folder.string(), stem, fmt::join(images.shape, ", "),
                    fmt::join(labels.shape, ", ")));
  }
  Dataset data;
  data.data = as_tensor(images).unsqueeze(1).to(at::kFloat).div_(255).sub_(kMean).div_(kDeviation);
  data.target = as_tensor(labels).to(at::kLong);
  return data;
}

std::map<std::string, std::int64_t> count_classes(const Dataset& data) {
  std::map<std::string, std::int64_t> counts;
  for (const std::int64_t *label = data.target.data_ptr<std::int64_t>(), *const end =
                                                                             label + data.size();
       label != end; ++label) {
    ++counts[std::to_string(*label)];
  }
  return counts;
}

ckp::Value::Map normalization() { return {{"mean", kMean}, {"std", kDeviation}}; }

}  // namespace example

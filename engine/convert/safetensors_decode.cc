// Reading the header: JSON events into tensors, then the checks across tensors.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "ckp/error.h"
#include "ckp/format/limits.h"
#include "convert/safetensors_header.h"

namespace ckp::safetensors {
namespace {

using Json = nlohmann::json;

// Takes the parser's events, because its tree would keep the last of repeated names in silence and
// grow with whatever the file nests. Only the places below exist, so depth is bounded.
class HeaderSax : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderSax(std::string_view what) : what_(what) {}
  Header take() { return std::move(header_); }

  bool null() override {
    if (place_ == Place::top && metadata_key_) return true;  // as the reference reader
    unexpected("null");
  }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool number_float(number_float_t, const string_t&) override {
    unexpected("a number that is no integer of 64 bits");
  }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_unsigned(number_unsigned_t value) override;
  bool string(string_t& value) override;
  bool binary(binary_t&) override { unexpected("bytes"); }
  bool key(string_t& name) override;
  bool start_object(std::size_t) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    bad(fmt::format("the header is no valid JSON at its byte {}", position));
  }

 private:
  enum class Place { outside, top, metadata, tensor, shape, offsets };

  [[noreturn]] void bad(std::string_view problem) const {
    throw Error(ErrorCode::corrupt, fmt::format("{}: {}", what_, problem));
  }
  [[noreturn]] void unexpected(std::string_view found) const;
  std::string where() const;
  void new_key(std::set<std::string, std::less<>>& seen, const std::string& name) const;
  void finish_tensor();

  std::string_view what_;
  Header header_;
  Place place_ = Place::outside;
  bool metadata_key_ = false;
  std::set<std::string, std::less<>> names_, fields_;
  std::string field_;
  Tensor tensor_;
  std::vector<std::uint64_t> offsets_;
};

std::string HeaderSax::where() const {
  switch (place_) {
    case Place::outside:
      return "the header";
    case Place::top:
      return metadata_key_ ? "__metadata__" : "tensor " + in_quotes(tensor_.name);
    case Place::metadata:
      return "__metadata__ " + in_quotes(field_);
    default:
      return fmt::format("tensor {}, {}", in_quotes(tensor_.name), field_);
  }
}

void HeaderSax::unexpected(std::string_view found) const {
  std::string_view expected = "an object";
  if (place_ == Place::metadata) expected = "a string";
  if (place_ == Place::shape || place_ == Place::offsets) expected = "a number of at least 0";
  if (place_ == Place::tensor) expected = field_ == "dtype" ? "a string" : "a list of numbers";
  bad(fmt::format("{} is {}, expected {}", where(), found, expected));
}

void HeaderSax::new_key(std::set<std::string, std::less<>>& seen, const std::string& name) const {
  if (seen.insert(name).second) return;
  bad(fmt::format("{} stands twice in {}", in_quotes(name),
                  place_ == Place::top        ? "the header"
                  : place_ == Place::metadata ? "__metadata__"
                                              : "tensor " + in_quotes(tensor_.name)));
}

bool HeaderSax::key(string_t& name) {
  if (place_ == Place::top) {
    new_key(names_, name);
    metadata_key_ = name == "__metadata__";
    tensor_ = {};
    tensor_.name = name;
    return true;
  }
  new_key(fields_, name);
  field_ = name;
  if (place_ == Place::tensor && name != "dtype" && name != "shape" && name != "data_offsets") {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: tensor {} has the field {}, which this version does not know",
                            what_, in_quotes(tensor_.name), in_quotes(name)));
  }
  return true;
}

bool HeaderSax::string(string_t& value) {
  if (place_ == Place::metadata) {
    header_.metadata->emplace(field_, value);
    return true;
  }
  if (place_ != Place::tensor || field_ != "dtype") unexpected("a string");
  const auto dtype = dtype_from_name(value);
  if (!dtype) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: tensor {} has dtype {}, which this version does not know", what_,
                            in_quotes(tensor_.name), in_quotes(value)));
  }
  tensor_.dtype = *dtype;
  return true;
}

bool HeaderSax::number_unsigned(number_unsigned_t value) {
  if (place_ != Place::shape && place_ != Place::offsets) unexpected("a number");
  if (place_ == Place::offsets) {
    offsets_.push_back(value);
    return true;
  }
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    bad(fmt::format("{} is {}, the limit is 2^63 - 1", where(), value));
  }
  if (tensor_.shape.size() == format::limits::tensor_rank) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: tensor {} has more than {} dimensions", what_,
                            in_quotes(tensor_.name), format::limits::tensor_rank));
  }
  tensor_.shape.push_back(static_cast<std::int64_t>(value));
  return true;
}

bool HeaderSax::start_object(std::size_t) {
  if (place_ == Place::outside) {
    place_ = Place::top;
    return true;
  }
  if (place_ != Place::top) unexpected("an object");
  fields_.clear();
  offsets_.clear();
  field_.clear();
  if (metadata_key_) header_.metadata.emplace();
  place_ = metadata_key_ ? Place::metadata : Place::tensor;
  return true;
}

bool HeaderSax::end_object() {
  if (place_ == Place::tensor) finish_tensor();
  place_ = place_ == Place::top ? Place::outside : Place::top;
  return true;
}

bool HeaderSax::start_array(std::size_t) {
  const bool list = field_ == "shape" || field_ == "data_offsets";
  if (place_ != Place::tensor || !list) unexpected("a list");
  place_ = field_ == "shape" ? Place::shape : Place::offsets;
  return true;
}

bool HeaderSax::end_array() {
  if (place_ == Place::offsets && offsets_.size() != 2) {
    bad(fmt::format("{} has {} numbers, expected 2", where(), offsets_.size()));
  }
  place_ = Place::tensor;
  return true;
}

void HeaderSax::finish_tensor() {
  for (const std::string_view field : {"dtype", "shape", "data_offsets"}) {
    if (!fields_.contains(field)) {
      bad(fmt::format("tensor {} has no {}", in_quotes(tensor_.name), field));
    }
  }
  tensor_.begin = offsets_[0];
  tensor_.end = offsets_[1];
  header_.tensors.push_back(std::move(tensor_));
}

void check_range(const Tensor& tensor, std::uint64_t data_size, std::string_view what) {
  const auto bad = [&](std::string_view problem) {
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: tensor {}: {}", what, in_quotes(tensor.name), problem));
  };
  const auto bytes = tensor_bytes(tensor.dtype, tensor.shape);
  if (!bytes) bad(fmt::format("shape [{}] is too large", fmt::join(tensor.shape, ", ")));
  if (tensor.begin > tensor.end) {
    bad(fmt::format("data_offsets [{}, {}] run backwards", tensor.begin, tensor.end));
  }
  if (tensor.end > data_size) {
    bad(fmt::format("data_offsets [{}, {}] reach beyond the file, which holds {} bytes of data",
                    tensor.begin, tensor.end, data_size));
  }
  if (tensor.end - tensor.begin != *bytes) {
    bad(fmt::format("data_offsets [{}, {}] hold {} bytes, but {} of shape [{}] needs {}",
                    tensor.begin, tensor.end, tensor.end - tensor.begin, to_string(tensor.dtype),
                    fmt::join(tensor.shape, ", "), *bytes));
  }
}

// Every byte of the data belongs to exactly one tensor.
void check_cover(const std::vector<Tensor>& tensors, std::uint64_t data_size,
                 std::string_view what) {
  const auto missing = [&](std::uint64_t begin, std::uint64_t end) {
    throw Error(
        ErrorCode::corrupt,
        fmt::format("{}: bytes {} to {} of the data belong to no tensor", what, begin, end));
  };
  std::uint64_t covered = 0;
  const Tensor* before = nullptr;
  for (const Tensor& tensor : tensors) {
    if (tensor.begin > covered) missing(covered, tensor.begin);
    if (tensor.begin < covered) {
      throw Error(ErrorCode::corrupt,
                  fmt::format("{}: tensors {} and {} overlap at byte {} of the data", what,
                              in_quotes(before->name), in_quotes(tensor.name), tensor.begin));
    }
    covered = tensor.end;
    before = &tensor;
  }
  if (covered < data_size) missing(covered, data_size);
}

}  // namespace

Header decode_header(std::string_view json, std::uint64_t data_size, std::string_view what) {
  if (json.empty() || json.front() != '{') {
    throw Error(ErrorCode::corrupt, fmt::format("{}: the header does not start with '{{'", what));
  }
  HeaderSax sax(what);
  Json::sax_parse(json, &sax);
  Header header = sax.take();
  for (const Tensor& tensor : header.tensors) check_range(tensor, data_size, what);
  std::ranges::stable_sort(header.tensors, [](const Tensor& a, const Tensor& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  check_cover(header.tensors, data_size, what);
  return header;
}

}  // namespace ckp::safetensors

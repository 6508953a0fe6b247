// Writing the header, and what reading shares with it.
#include "convert/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <tuple>

#include "ckp/error.h"
#include "ckp/format/wire.h"

namespace ckp::safetensors {
namespace {

struct DTypeName {
  DType dtype;
  std::string_view name;
};

// In the order of the reference implementation's enumeration, which is the order of the data in
// its files, last first.
constexpr std::array dtype_names{
    DTypeName{DType::boolean, "BOOL"},
    DTypeName{DType::uint8, "U8"},
    DTypeName{DType::int8, "I8"},
    DTypeName{DType::float8_e5m2, "F8_E5M2"},
    DTypeName{DType::float8_e4m3fn, "F8_E4M3"},
    DTypeName{DType::float8_e8m0fnu, "F8_E8M0"},
    DTypeName{DType::float8_e4m3fnuz, "F8_E4M3FNUZ"},
    DTypeName{DType::float8_e5m2fnuz, "F8_E5M2FNUZ"},
    DTypeName{DType::int16, "I16"},
    DTypeName{DType::uint16, "U16"},
    DTypeName{DType::float16, "F16"},
    DTypeName{DType::bfloat16, "BF16"},
    DTypeName{DType::int32, "I32"},
    DTypeName{DType::uint32, "U32"},
    DTypeName{DType::float32, "F32"},
    DTypeName{DType::complex64, "C64"},
    DTypeName{DType::float64, "F64"},
    DTypeName{DType::int64, "I64"},
    DTypeName{DType::uint64, "U64"},
};

auto find_dtype(DType dtype) { return std::ranges::find(dtype_names, dtype, &DTypeName::dtype); }

std::string json_string(std::string_view text) { return nlohmann::json(text).dump(); }

std::string to_json(const Tensor& tensor) {
  return fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                     json_string(tensor.name), dtype_name(tensor.dtype).value(),
                     fmt::join(tensor.shape, ","), tensor.begin, tensor.end);
}

std::string to_json(const std::map<std::string, std::string>& texts) {
  std::vector<std::string> members;
  for (const auto& [key, text] : texts)
    members.push_back(json_string(key) + ":" + json_string(text));
  return fmt::format("{{{}}}", fmt::join(members, ","));
}

// By hand, because the order of the members counts and nlohmann's ordered objects are searched
// linearly; and because its nested values need memory to be destroyed, and end the process when
// there is none.
std::string to_json(const Header& header) {
  std::vector<std::string> members;
  if (header.metadata) members.push_back("\"__metadata__\":" + to_json(*header.metadata));
  for (const Tensor& tensor : header.tensors) members.push_back(to_json(tensor));
  return fmt::format("{{{}}}", fmt::join(members, ","));
}

}  // namespace

std::optional<std::string_view> dtype_name(DType dtype) {
  const auto found = find_dtype(dtype);
  if (found == dtype_names.end()) return std::nullopt;
  return found->name;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  const auto found = std::ranges::find(dtype_names, name, &DTypeName::name);
  if (found == dtype_names.end()) return std::nullopt;
  return found->dtype;
}

std::optional<std::uint64_t> tensor_bytes(DType dtype, const std::vector<std::int64_t>& shape) {
  auto product = static_cast<std::int64_t>(size_of(dtype));
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    empty = empty || extent == 0;
    // An empty tensor's strides are products of its other extents: those must fit, too.
    const std::int64_t factor = std::max<std::int64_t>(extent, 1);
    if (__builtin_mul_overflow(product, factor, &product)) return std::nullopt;
  }
  return empty ? 0 : static_cast<std::uint64_t>(product);
}

std::uint64_t decode_length(std::span<const std::byte> first, std::uint64_t file_size,
                            std::string_view what) {
  if (first.size() < length_size || file_size < length_size) {
    throw Error(
        ErrorCode::corrupt,
        fmt::format("{}: {} bytes, but a safetensors file starts with an 8-byte header length",
                    what, file_size));
  }
  const std::uint64_t length = format::Reader(first, what).u64();
  if (length > max_header_size) {
    throw Error(ErrorCode::corrupt, fmt::format("{}: header length is {}, the limit is {}", what,
                                                length, max_header_size));
  }
  if (length > file_size - length_size) {
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: header length is {}, but only {} bytes follow it; the file was "
                            "probably cut short",
                            what, length, file_size - length_size));
  }
  return length;
}

void lay_out(std::vector<Tensor>& tensors) {
  std::ranges::sort(tensors, [](const Tensor& a, const Tensor& b) {
    return std::make_tuple(find_dtype(b.dtype), std::string_view(a.name)) <
           std::make_tuple(find_dtype(a.dtype), std::string_view(b.name));
  });
  std::uint64_t offset = 0;
  for (Tensor& tensor : tensors) {
    tensor.begin = offset;
    offset += tensor_bytes(tensor.dtype, tensor.shape).value();
    tensor.end = offset;
  }
}

std::string encode_header(const Header& header) {
  std::string json = to_json(header);
  json.resize(format::align_up(json.size(), 8), ' ');
  if (json.size() > max_header_size) {
    throw Error(ErrorCode::unsupported,
                fmt::format("the safetensors header would have {} bytes, its limit is {}; write "
                            "fewer parts",
                            json.size(), max_header_size));
  }
  std::string bytes;
  for (unsigned i = 0; i < length_size; ++i) {
    bytes.push_back(static_cast<char>((json.size() >> (8 * i)) & 0xff));
  }
  return bytes + json;
}

std::string in_quotes(std::string_view name) {
  constexpr std::size_t longest = 200;
  const auto replace = nlohmann::json::error_handler_t::replace;
  std::string text = nlohmann::json(name.substr(0, longest)).dump(-1, ' ', false, replace);
  if (name.size() > longest) text += fmt::format("... ({} bytes)", name.size());
  return text;
}

}  // namespace ckp::safetensors

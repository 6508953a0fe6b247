// The header of a safetensors file, bytes <-> values. Pure.
// https://github.com/huggingface/safetensors#format
//   0 length of the header, u64 | 8 header, JSON, padded with spaces to a multiple of 8 | data
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/dtype.h"

namespace ckp::safetensors {

constexpr std::size_t length_size = 8;
constexpr std::uint64_t max_header_size = 100'000'000;  // as the reference implementation

struct Tensor {
  std::string name;
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;  // bytes of the data that follows the header
  friend bool operator==(const Tensor&, const Tensor&) = default;
};

struct Header {
  // `__metadata__`. Absent and empty are different files.
  std::optional<std::map<std::string, std::string>> metadata;
  std::vector<Tensor> tensors;  // in the order of their data
  friend bool operator==(const Header&, const Header&) = default;
};

// "F32", "BF16", ...; nothing for what safetensors lacks (complex32, complex128).
std::optional<std::string_view> dtype_name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

// Bytes of one tensor; nothing when no 63-bit number holds them.
std::optional<std::uint64_t> tensor_bytes(DType dtype, const std::vector<std::int64_t>& shape);

// The header's length from the first 8 bytes of a file. `what` names the file in messages. Throws
// Error(corrupt) when it is beyond the limit or the file.
std::uint64_t decode_length(std::span<const std::byte> first, std::uint64_t file_size,
                            std::string_view what);
// `json` is the whole header, `data_size` the bytes after it. Believes nothing: throws
// Error(corrupt) for anything but an object of well-formed tensors that cover the data exactly,
// each byte once; Error(unsupported) for a dtype or field that this version does not know.
Header decode_header(std::string_view json, std::uint64_t data_size, std::string_view what);

// Sorts as the reference implementation does (dtypes by falling alignment, then names) and gives
// out the data ranges.
void lay_out(std::vector<Tensor>& tensors);
// Length, JSON and padding: what stands before the data. Throws Error(unsupported) beyond
// max_header_size.
std::string encode_header(const Header& header);

// A name for messages: quoted, escaped, cut when it is very long.
std::string in_quotes(std::string_view name);

}  // namespace ckp::safetensors

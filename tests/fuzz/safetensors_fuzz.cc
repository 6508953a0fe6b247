// The header of a safetensors file: the file's size (8 bytes), then the file's own first 8 bytes
// and the JSON.
#include <algorithm>
#include <string>

#include "convert/safetensors_header.h"
#include "fuzz/bytes.h"
#include "fuzz/mutate.h"
#include "fuzz/target.h"

namespace ckp::fuzz {
namespace {

constexpr std::size_t size_size = 8;
constexpr std::size_t json_at = size_size + safetensors::length_size;

void check_header(const safetensors::Header& header, std::uint64_t data_size) {
  std::uint64_t end = 0;
  for (const auto& tensor : header.tensors) {
    require(tensor.begin == end && tensor.end >= tensor.begin, "tensors cover the data in order");
    require(safetensors::tensor_bytes(tensor.dtype, tensor.shape) == tensor.end - tensor.begin,
            "a tensor has the bytes of its shape");
    end = tensor.end;
  }
  require(end == data_size, "tensors cover the data");
  const std::string bytes = safetensors::encode_header(header);
  const auto again = safetensors::decode_header(
      std::string_view(bytes).substr(safetensors::length_size), data_size, "again");
  require(again == header, "a safetensors header survives being written again");
}

void fuzz_one(BytesView bytes) {
  if (bytes.size() < json_at) return;
  const std::uint64_t file_size = get_number(bytes, 0, size_size);
  const auto first = bytes.subspan(size_size, safetensors::length_size);
  const auto length =
      refused_or([&] { return safetensors::decode_length(first, file_size, "fuzz"); });
  if (!length) return;
  require(*length <= safetensors::max_header_size && *length <= file_size - 8,
          "a header lies in its file");
  const auto text =
      bytes.subspan(json_at, std::min<std::uint64_t>(*length, bytes.size() - json_at));
  const std::string_view json(reinterpret_cast<const char*>(text.data()), text.size());
  const std::uint64_t data_size = file_size - safetensors::length_size - *length;
  const auto header =
      refused_or([&] { return safetensors::decode_header(json, data_size, "fuzz"); });
  if (header) check_header(*header, data_size);
}

// The length is that of the JSON, and the file as large as the last offset wants it.
void repair(std::span<std::byte> bytes, Repair what) {
  if (bytes.size() < json_at) return;
  const std::uint64_t length = bytes.size() - json_at;
  put_number(bytes, size_size, 8, length);
  if (what != Repair::agreement) return;
  const std::string_view json(reinterpret_cast<const char*>(bytes.data()) + json_at, length);
  std::uint64_t largest = 0;
  const std::string_view key = "\"data_offsets\":[";
  for (std::size_t at = json.find(key); at != std::string_view::npos; at = json.find(key, at + 1)) {
    const std::size_t comma = json.find(',', at + key.size());
    if (comma == std::string_view::npos) break;
    const std::string end(json.substr(comma + 1, 20));
    largest = std::max<std::uint64_t>(largest, std::strtoull(end.c_str(), nullptr, 10));
  }
  put_number(bytes, 0, size_size, largest + length + safetensors::length_size);
}

}  // namespace
}  // namespace ckp::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ckp::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  return ckp::fuzz::mutate_and_repair(data, size, max_size, seed, 16, ckp::fuzz::repair);
}

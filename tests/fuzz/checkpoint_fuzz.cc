// A whole `.ckp` from outside: opened, and every tensor and storage loaded. The limits on memory
// that run.sh sets are part of the target: a file of a few bytes must not cost gigabytes.
#include <limits>

#include "ckp/load.h"
#include "fuzz/memory_file_system.h"
#include "fuzz/repair.h"
#include "fuzz/target.h"

namespace ckp::fuzz {
namespace {

constexpr std::uint64_t largest_tensor = 1u << 20;  // larger ones only cost time
constexpr std::size_t most_tensors = 64;

std::uint64_t bytes_of(const format::TensorEntry& tensor) {
  std::uint64_t bytes = size_of(tensor.dtype);
  for (const std::int64_t extent : tensor.shape) bytes *= static_cast<std::uint64_t>(extent);
  return bytes;  // no overflow: the manifest was checked
}

void load_tensors(const Checkpoint& checkpoint, const LoadOptions& options) {
  std::size_t count = 0;
  for (const auto& tensor : checkpoint.manifest().tensors) {
    const std::uint64_t bytes = bytes_of(tensor);
    if (bytes > largest_tensor || ++count > most_tensors) continue;
    const auto read = refused_or([&] { return checkpoint.read(tensor.name, options); });
    require(!read || read->size() == bytes, "a tensor has the bytes of its shape");
    std::vector<std::byte> memory(bytes);
    const TensorTarget target{tensor.name, tensor.dtype, tensor.shape,
                              contiguous_strides(tensor.shape), memory.data()};
    const bool loaded = takes([&] { checkpoint.load({&target, 1}, options); });
    require(loaded == read.has_value() && (!loaded || memory == *read),
            "read and load give the same bytes");
  }
}

void fuzz_one(BytesView file) {
  const auto checkpoint =
      refused_or([&] { return open_file("memory", std::make_shared<MemoryFileSystem>(file)); });
  if (!checkpoint) return;
  LoadOptions options;
  options.threads = 1;
  load_tensors(*checkpoint, options);
  const auto& storages = checkpoint->manifest().storages;
  for (std::uint32_t i = 0; i < storages.size() && i < most_tensors; ++i) {
    if (storages[i].size > largest_tensor) continue;
    const auto bytes = refused_or([&] { return checkpoint->read_storage(i, options); });
    require(!bytes || bytes->size() == storages[i].size, "a storage has its size");
  }
}

}  // namespace
}  // namespace ckp::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ckp::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  return ckp::fuzz::mutate_and_repair(data, size, max_size, seed, 64, ckp::fuzz::repair_pack);
}

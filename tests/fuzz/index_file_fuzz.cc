// The data file of the index, as our own walk over its pages sees it before LMDB may.
#include "fuzz/memory_file_system.h"
#include "fuzz/mutate.h"
#include "fuzz/target.h"
#include "index/data_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckp;
  const fuzz::MemoryFile file(std::as_bytes(std::span(data, size)));
  const bool whole = fuzz::takes([&] { check_data_file(file, PageCheck::all); });
  const bool start = fuzz::takes([&] { check_data_file(file, PageCheck::directory); });
  fuzz::require(start || !whole, "what is right as a whole is right at its start");
  return 0;
}

// LMDB has no checksums: there is nothing to make right.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  const auto leave = [](std::span<std::byte>, ckp::fuzz::Repair) {};
  return ckp::fuzz::mutate_and_repair(data, size, max_size, seed, 8, leave);
}

// Mutation that leaves a file's layout alone more often than not, and then makes its checksums
// right again, so that the parsers behind them are reached.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace ckp::fuzz {

// How much is made right after a mutation.
enum class Repair {
  nothing,
  checksums,  // every checksum over what it covers, as it stands now
  agreement,  // and what is said in several places, such as sizes and digests
};

using RepairFile = std::function<void(std::span<std::byte> file, Repair what)>;

// For LLVMFuzzerCustomMutator. `grain`: where the pieces of such a file begin, mostly.
std::size_t mutate_and_repair(std::uint8_t* data, std::size_t size, std::size_t max_size,
                              unsigned seed, std::size_t grain, const RepairFile& repair);

}  // namespace ckp::fuzz

#include "fuzz/mutate.h"

#include <algorithm>
#include <random>
#include <vector>

#include "fuzz/target.h"

namespace ckp::fuzz {
namespace {

// Changes a short stretch in place: nothing behind it moves.
void mutate_stretch(std::uint8_t* data, std::size_t size, std::size_t grain,
                    std::minstd_rand& random) {
  const std::size_t grains = (size + grain - 1) / grain;
  const std::size_t begin = random() % grains * grain;
  const std::size_t offset = begin + random() % std::min(grain, size - begin);
  const std::size_t length = std::min<std::size_t>(size - offset, 1 + random() % 16);
  std::vector<std::uint8_t> stretch(data + offset, data + offset + length);
  const std::size_t left = LLVMFuzzerMutate(stretch.data(), length, length);
  std::copy_n(stretch.begin(), left, data + offset);
}

}  // namespace

std::size_t mutate_and_repair(std::uint8_t* data, std::size_t size, std::size_t max_size,
                              unsigned seed, std::size_t grain, const RepairFile& repair) {
  std::minstd_rand random(seed);
  if (size == 0 || random() % 4 == 0) {
    size = LLVMFuzzerMutate(data, size, max_size);
  } else {
    for (auto rounds = 1 + random() % 3; rounds > 0; --rounds) {
      mutate_stretch(data, size, grain, random);
    }
  }
  const auto choice = random() % 16;
  const Repair what = choice == 0  ? Repair::nothing
                      : choice < 5 ? Repair::checksums
                                   : Repair::agreement;
  if (what != Repair::nothing) repair(std::as_writable_bytes(std::span(data, size)), what);
  return size;
}

}  // namespace ckp::fuzz

// What a fuzz target consists of: one file defines fuzz_one(), and mutate_one() where plain
// mutation would not come past the checksums. Runs under libFuzzer (tests/fuzz/run.sh), and over
// the kept corpus in the ordinary tests (replay.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <type_traits>

#include "ckp/error.h"

namespace ckp::fuzz {

using BytesView = std::span<const std::byte>;

// A promise that does not hold: a finding.
inline void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", promise);
  std::abort();
}

// What `parse` makes of hostile bytes, or nothing when it refuses them with ckp::Error. Every other
// exception leaves the target and is a finding.
template <class Parse>
auto refused_or(Parse parse) -> std::optional<std::invoke_result_t<Parse>> {
  try {
    return parse();
  } catch (const Error&) {
    return std::nullopt;
  }
}

// The same for what gives nothing back; whether it was taken.
template <class Parse>
bool takes(Parse parse) {
  try {
    parse();
    return true;
  } catch (const Error&) {
    return false;
  }
}

// The first `size` bytes of `bytes`, which moves on behind them; fewer at the end.
inline BytesView take(BytesView& bytes, std::size_t size) {
  const BytesView front = bytes.first(size < bytes.size() ? size : bytes.size());
  bytes = bytes.subspan(front.size());
  return front;
}

// One byte, or 0 at the end.
inline unsigned take_byte(BytesView& bytes) {
  const BytesView front = take(bytes, 1);
  return front.empty() ? 0 : std::to_integer<unsigned>(front[0]);
}

}  // namespace ckp::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
// Only where a target has a mutator of its own.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed);

// A manifest: binary columns and CBOR.
#include <algorithm>

#include "ckp/format/manifest.h"
#include "fuzz/bytes.h"
#include "fuzz/mutate.h"
#include "fuzz/target.h"

namespace ckp::fuzz {
namespace {

using format::Section;

void fuzz_one(BytesView raw) {
  const auto manifest = refused_or([&] { return format::decode_manifest(raw); });
  if (!manifest) return;
  // Also: whatever a reader takes, a writer would write.
  const auto again = format::decode_manifest(format::encode_manifest(*manifest));
  require(again == *manifest, "a manifest survives being written again");
  for (const auto& tensor : manifest->tensors) {
    require(manifest->find(tensor.name) == &tensor, "a tensor is found by its name");
  }
}

bool is_section(BytesView raw, std::size_t at, Section section) {
  return get_number(raw, at, 2) == static_cast<unsigned>(section);
}

// The lengths of the sections fill the input exactly.
void repair_sections(std::span<std::byte> raw, Repair) {
  constexpr std::size_t section_header = 16;
  for (std::size_t at = 0; raw.size() - at >= section_header;) {
    const std::uint64_t left = raw.size() - at - section_header;
    const std::uint64_t told = get_number(raw, at + 8, 8);
    const auto follows = [&](Section section) {
      return told <= left && left - told >= section_header &&
             is_section(raw, at + section_header + told, section);
    };
    // Those that may be left out, in their order.
    constexpr Section rest[] = {Section::derived, Section::patches, Section::differences};
    const std::uint64_t number = get_number(raw, at, 2);
    const bool last = number >= static_cast<unsigned>(Section::tensors) &&
                      std::ranges::none_of(rest, [&](Section section) {
                        return static_cast<unsigned>(section) > number && follows(section);
                      });
    const std::uint64_t length = last ? left : std::min(told, left);
    put_number(raw, at + 8, 8, length);
    at += section_header + length;
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
  return ckp::fuzz::mutate_and_repair(data, size, max_size, seed, 8, ckp::fuzz::repair_sections);
}

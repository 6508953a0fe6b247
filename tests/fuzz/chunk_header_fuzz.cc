// The header before every chunk, manifest and table: 128 bytes, and the place it stands at.
#include <algorithm>

#include "fuzz/bytes.h"
#include "fuzz/repair.h"
#include "fuzz/target.h"

namespace ckp::fuzz {
namespace {

using format::RecordHeader;

constexpr std::size_t place_size = 16 + 8 + 4;

format::RecordPlace place_in(BytesView bytes) {
  format::RecordPlace place;
  std::copy_n(bytes.begin(), 16, place.pack.bytes.begin());
  place.offset = get_number(bytes, 16, 8);
  place.generation = static_cast<std::uint32_t>(get_number(bytes, 24, 4));
  return place;
}

void fuzz_one(BytesView bytes) {
  if (bytes.size() < place_size + RecordHeader::size) return;
  const auto place = place_in(bytes);
  const auto encoded = bytes.subspan(place_size, RecordHeader::size);
  const auto header = refused_or([&] { return format::decode_record_header(encoded, place); });
  if (!header) return;
  require(format::has_record_magic(encoded), "what is decoded begins with the magic");
  require(std::ranges::equal(format::encode_record_header(*header, place), encoded),
          "a record header has one encoding");
  auto elsewhere = place;
  elsewhere.offset += 64;
  require(!refused_or([&] { return format::decode_record_header(encoded, elsewhere); }),
          "a record header is valid in one place");
}

}  // namespace
}  // namespace ckp::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ckp::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  using namespace ckp::fuzz;
  return mutate_and_repair(data, size, max_size, seed, 16, [](MutableBytes bytes, Repair) {
    if (bytes.size() < place_size + RecordHeader::size) return;
    repair_record_header(bytes.subspan(place_size, RecordHeader::size), place_in(bytes));
  });
}

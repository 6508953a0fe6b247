// Plain values: the CBOR profile.
#include "ckp/value.h"
#include "fuzz/target.h"

namespace ckp::fuzz {
namespace {

void fuzz_one(BytesView bytes) {
  const auto value = refused_or([&] { return from_cbor(bytes); });
  if (!value) return;
  const auto encoded = to_cbor(*value);
  const Value again = from_cbor(encoded);
  require(again == *value, "a value survives being written again");
  require(to_cbor(again) == encoded, "a value has one encoding");
  require(encoded.size() <= 5 * bytes.size() + 9, "the encoding of a value is bounded");
}

}  // namespace
}  // namespace ckp::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ckp::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}

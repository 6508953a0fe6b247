#include "ckp/digest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <new>

#include "hex.h"

#ifndef CKP_CONTENT_ID_BITS
#define CKP_CONTENT_ID_BITS 128
#endif

namespace ckp {
namespace {

static_assert(CKP_CONTENT_ID_BITS >= 1 && CKP_CONTENT_ID_BITS <= 128);

constexpr Digest from_xxh(XXH128_hash_t hash) { return {.low = hash.low64, .high = hash.high64}; }

// The `bits` highest of 64, all of them when there are more.
constexpr std::uint64_t leading_ones(int bits) {
  if (bits <= 0) return 0;
  if (bits >= 64) return ~std::uint64_t{0};
  return ~std::uint64_t{0} << (64 - bits);
}

std::optional<std::uint64_t> parse_hex64(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    const auto digit = hex_digit(c);
    if (!digit) return std::nullopt;
    value = value << 4 | *digit;
  }
  return value;
}

}  // namespace

std::string Digest::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

std::optional<Digest> Digest::from_hex(std::string_view text) {
  if (text.size() != 32) return std::nullopt;
  const auto high = parse_hex64(text.substr(0, 16));
  const auto low = parse_hex64(text.substr(16));
  if (!high || !low) return std::nullopt;
  return Digest{.low = *low, .high = *high};
}

Digest digest_of(std::span<const std::byte> bytes) {
  return from_xxh(XXH3_128bits(bytes.data(), bytes.size()));
}

Digest seeded_digest_of(std::span<const std::byte> bytes, std::uint64_t seed) {
  return from_xxh(XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed));
}

std::uint64_t checksum_of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Digest content_id(const Digest& raw_digest) {
  constexpr int bits = CKP_CONTENT_ID_BITS;
  return {.low = raw_digest.low & leading_ones(bits - 64),
          .high = raw_digest.high & leading_ones(bits)};
}

// One XXH3 state serves both widths: they differ only in how the end is mixed, which the tests
// compare with the one-shot functions at every length where XXH3 changes its ways.
struct DigestStream::State {
  State() : xxh(XXH3_createState()) {
    if (xxh == nullptr) throw std::bad_alloc();
    XXH3_128bits_reset(xxh);
  }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  XXH3_state_t* xxh;
};

DigestStream::DigestStream() : state_(std::make_unique<State>()) {}
DigestStream::~DigestStream() = default;
DigestStream::DigestStream(DigestStream&&) noexcept = default;
DigestStream& DigestStream::operator=(DigestStream&&) noexcept = default;

void DigestStream::update(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

Digest DigestStream::digest() const { return from_xxh(XXH3_128bits_digest(state_->xxh)); }
std::uint64_t DigestStream::checksum() const { return XXH3_64bits_digest(state_->xxh); }

}  // namespace ckp

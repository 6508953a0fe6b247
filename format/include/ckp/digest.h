// Digests and checksums: XXH3, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
// (seed 0 everywhere in files). Not cryptographic: they find accidents, not forgers.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ckp {

// XXH3-128 of some bytes. In files: `low` then `high`, little-endian.
struct Digest {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const Digest&, const Digest&) = default;
  friend auto operator<=>(const Digest&, const Digest&) = default;
  // 32 hexadecimal digits, `high` first (the canonical XXH128 spelling, as `xxh128sum` prints).
  std::string hex() const;
  static std::optional<Digest> from_hex(std::string_view text);
};

// XXH3-128 of `bytes`.
Digest digest_of(std::span<const std::byte> bytes);
// The same with a seed: for comparing within a process, never in files.
Digest seeded_digest_of(std::span<const std::byte> bytes, std::uint64_t seed);
// XXH3-64 of `bytes`.
std::uint64_t checksum_of(std::span<const std::byte> bytes);

// The look-up key for dedup: the digest's leading bits. Full length except in the build that
// defines CKP_CONTENT_ID_BITS=8, where collisions are made common to prove that they are harmless
// (promise P12): a content id only ever proposes a chunk, bytes are compared before it is shared.
Digest content_id(const Digest& raw_digest);

// XXH3-128 (and XXH3-64) of bytes that arrive in pieces. Movable, one thread at a time.
class DigestStream {
 public:
  DigestStream();
  ~DigestStream();
  DigestStream(DigestStream&&) noexcept;
  DigestStream& operator=(DigestStream&&) noexcept;
  void update(std::span<const std::byte> bytes);
  // The digests of everything so far; more may be added afterwards.
  Digest digest() const;
  std::uint64_t checksum() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ckp

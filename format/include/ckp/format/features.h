// Versions and the three kinds of unknown (spec/store.md, "Versions and features").
#pragma once

#include <cstdint>
#include <string_view>

namespace ckp::format {

constexpr std::uint16_t current_version = 1;

// Bits of things a file uses. A reader that does not know a bit
//  - of `ignore` goes on,
//  - of `read_only` may read, but must not save into, prune or repair what carries it,
//  - of `refuse` must not read at all.
struct Features {
  std::uint64_t ignore = 0;
  std::uint64_t read_only = 0;
  std::uint64_t refuse = 0;
  friend bool operator==(const Features&, const Features&) = default;
};

// Known bits of each class. Bits are never reused.
namespace feature {
constexpr std::uint64_t external_references = 1u << 0;  // refuse: refers to chunks of other packs
constexpr std::uint64_t patches = 1u << 1;              // refuse: a manifest has patches
constexpr std::uint64_t delta = 1u << 2;                // refuse; reserved, not read by version 1
constexpr std::uint64_t derived = 1u << 3;              // refuse: a manifest has derived pieces
constexpr std::uint64_t differences = 1u << 4;          // refuse: a manifest has differences
constexpr std::uint64_t trash = 1u << 5;  // refuse; of STORE: files may have the names of the trash

constexpr std::uint64_t marks = 1u << 0;        // read_only; of STORE: there is a file `marks`
constexpr std::uint64_t later_facts = 1u << 1;  // read_only; of STORE: `marks` has later facts
constexpr std::uint64_t policies = 1u << 2;     // read_only; of STORE: `marks` has policies
}  // namespace feature

constexpr Features pack_features{
    0, 0,
    feature::external_references | feature::patches | feature::derived | feature::differences};
constexpr Features store_features{0, feature::marks | feature::later_facts | feature::policies,
                                  feature::trash};
constexpr Features known_features{0, store_features.read_only,
                                  pack_features.refuse | store_features.refuse};

struct Versions {
  std::uint16_t write_version = current_version;  // the version that wrote it
  std::uint16_t read_version = 1;                 // the oldest version that can read it
  friend bool operator==(const Versions&, const Versions&) = default;
};

// Throws Error(newer_format) naming `what`, and the version that is needed, when `versions` or a
// refuse bit is beyond this build. Returns whether writing is allowed (no unknown read_only bit).
bool check_readable(const Versions& versions, const Features& features, std::string_view what);

}  // namespace ckp::format

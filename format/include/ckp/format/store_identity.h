// The STORE file and the state block of the lock file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ckp/format/features.h"
#include "ckp/uuid.h"

namespace ckp::format {

// The file STORE: who this store is. Written when the store is made, and anew when its features
// change.
struct StoreIdentity {
  static constexpr std::size_t size = 128;
  Versions versions;
  Features features;
  Uuid uuid;
  std::int64_t created_ns = 0;  // UTC, since 1970
};
std::vector<std::byte> encode_store_identity(const StoreIdentity& identity);
StoreIdentity decode_store_identity(std::span<const std::byte> bytes);

// What the index's data file looked like when the index was last known to be right.
struct IndexStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t change_time_ns = 0;
  std::uint64_t transaction = 0;
  friend bool operator==(const IndexStamp&, const IndexStamp&) = default;
};

// 512 bytes at the start of the lock file, one sector, written under the store's lock without
// fsync. It only ever says whether the index can be believed; everything in it can be found again
// from the directories.
struct StateBlock {
  static constexpr std::size_t size = 512;
  static constexpr std::size_t max_directory = 255;
  Uuid store;
  Uuid boot;                // the machine's boot id
  std::uint64_t begin = 0;  // number of the commit under way, or of the last
  std::uint64_t end = 0;    // number of the last commit that reached the index
  std::string
      run_directory;  // of the commit under way: name below runs/, at most max_directory bytes
  IndexStamp stamp;
  std::uint32_t holder_pid = 0;
  std::string holder_host;  // at most 63 bytes
};
std::vector<std::byte> encode_state_block(const StateBlock& block);
// Nothing when the bytes are no valid state block (short, wrong checksum, a newer layout).
std::optional<StateBlock> decode_state_block(std::span<const std::byte> bytes);

}  // namespace ckp::format

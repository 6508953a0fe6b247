// Changes to a store's state block behind its back.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string>

#include "ckp/file_system.h"
#include "ckp/format/store_identity.h"

namespace ckp::test {

inline void change_state_block(const std::filesystem::path& store,
                               const std::function<void(format::StateBlock&)>& change) {
  std::fstream file(store / "lock", std::ios::in | std::ios::out | std::ios::binary);
  std::array<char, format::StateBlock::size> bytes{};
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  auto block = format::decode_state_block(std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(block.has_value());
  change(*block);
  const auto changed = format::encode_state_block(*block);
  file.seekp(0);
  file.write(reinterpret_cast<const char*>(changed.data()),
             static_cast<std::streamsize>(changed.size()));
}

// As if the index's file had rotted on the disk: no time or size shows the change.
inline void hide_change_of_index(const std::filesystem::path& store) {
  const auto status = posix_file_system()->status(store / "index" / "data.mdb");
  ASSERT_TRUE(status.has_value());
  change_state_block(store, [&](format::StateBlock& block) {
    block.stamp.device = status->device;
    block.stamp.inode = status->inode;
    block.stamp.size = status->size;
    block.stamp.change_time_ns = status->changed_ns;
  });
}

// Behind its two first pages, which say where the others are, the index's file is nonsense.
inline void rot_index(const std::filesystem::path& store) {
  constexpr std::uint64_t begin = 2 * 4096;
  const auto path = store / "index" / "data.mdb";
  const auto size = std::filesystem::file_size(path);
  ASSERT_GT(size, begin);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(begin);
  file << std::string(size - begin, '\xd5') << std::flush;
  hide_change_of_index(store);
}

}  // namespace ckp::test

// A pack in memory.
#pragma once

#include <cstring>
#include <string>
#include <utility>

#include "ckp/error.h"
#include "ckp/format/pack.h"
#include "fuzz/target.h"

namespace ckp::fuzz {

class MemorySource final : public format::ByteSource {
 public:
  explicit MemorySource(BytesView bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || bytes_.size() - offset < out.size()) {
      throw Error(ErrorCode::corrupt, "memory: read beyond the end");
    }
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  }
  std::string name() const override { return "memory"; }

 private:
  const BytesView bytes_;
};

}  // namespace ckp::fuzz

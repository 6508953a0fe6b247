// The references of a manifest that is being put together.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "ckp/format/manifest.h"

namespace ckp {

// Indices of references, added where they are missing.
class ReferenceNumbers {
 public:
  explicit ReferenceNumbers(std::vector<format::ChunkReference>& references)
      : references_(references) {
    for (std::uint32_t i = 0; i < references.size(); ++i) known_.emplace(references[i].address, i);
  }
  std::uint32_t operator()(const format::ChunkReference& reference) {
    const auto [at, is_new] =
        known_.emplace(reference.address, static_cast<std::uint32_t>(references_.size()));
    if (is_new) references_.push_back(reference);
    return at->second;
  }

 private:
  std::vector<format::ChunkReference>& references_;
  std::map<format::ChunkAddress, std::uint32_t> known_;
};

}  // namespace ckp

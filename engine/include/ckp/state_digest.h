// One number for the contents of a checkpoint: equal exactly when names, dtypes, shapes and values
// of all tensors are. How it is stored (strides, shared storages, codecs) plays no part.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/digest.h"
#include "ckp/dtype.h"
#include "ckp/load.h"

namespace ckp {

struct TensorDigest {
  std::string name;
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  Digest digest;
};

struct StateDigest {
  std::vector<TensorDigest> tensors;  // by name
  Digest total;
};

// A tensor's digest is the XXH3-128 of: size of the name (u32), name, dtype's number (u16), rank
// (u8), sizes (i64 each), then the elements in row-major order; integers little-endian. The total
// is that of these byte strings one after the other, by name. `part` takes only tensors
// "PART/..."; Error(not_found) names the parts when there are none. Without it artifacts
// (artifacts.h) are left out: they are no state. Reads, and so verifies, every
// byte it digests: throws Error(corrupt) like Checkpoint::read.
StateDigest state_digest(const Checkpoint& checkpoint, std::string_view part = {},
                         const LoadOptions& options = {});

}  // namespace ckp

#include "check/stored_bytes.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "ckp/verify.h"
#include "save/parallel.h"

namespace ckp {

void check_stored_bytes(const Checkpoint& checkpoint) { check_stored_bytes(checkpoint.parts()); }

void check_stored_bytes(const Checkpoint::Parts& parts) {
  const auto& references = parts.manifest.references;
  parallel_for(references.size(), thread_count(0), [&](std::size_t i) {
    const Uuid pack =
        references[i].address.pack.is_nil() ? parts.record.id : references[i].address.pack;
    const OpenPack& open = parts.packs.at(pack);
    const auto* entry = open.directory.find_chunk(references[i].address.number);
    if (entry == nullptr || entry->raw_digest != references[i].raw_digest) {
      throw Error(ErrorCode::corrupt,
                  fmt::format("{}: chunk {} is missing or another one", open.source->name(),
                              references[i].address.number));
    }
    format::read_record(*open.source, open.directory, *entry);
  });
}

}  // namespace ckp

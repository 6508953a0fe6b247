#include "load/open_pack.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "runs/record_codec.h"

namespace ckp {
namespace {

const OpenPack& find_pack(const PackSet& packs, const Uuid& uuid, const Uuid& own_pack,
                          std::uint32_t number) {
  const auto at = packs.find(uuid);
  if (at != packs.end()) return at->second;
  const auto own = packs.find(own_pack);
  throw Error(ErrorCode::corrupt,
              fmt::format("{}: chunk {} lies in pack {}, which is missing",
                          own == packs.end() ? own_pack.hex() : own->second.source->name(), number,
                          uuid.hex()));
}

}  // namespace

OpenPack open_pack(FileSystem& fs, const std::filesystem::path& path) {
  OpenPack pack;
  pack.source = std::make_shared<const FileSource>(
      std::shared_ptr<const File>(fs.open(path, OpenMode::read)));
  pack.directory = format::read_directory(*pack.source);
  return pack;
}

void read_reference(const PackSet& packs, const Uuid& own_pack,
                    const format::ChunkReference& reference, std::span<std::byte> out) {
  const auto& [uuid, number] = reference.address;
  const OpenPack& pack = find_pack(packs, uuid.is_nil() ? own_pack : uuid, own_pack, number);
  const format::TableEntry* const entry = pack.directory.find_chunk(number);
  if (entry == nullptr) {
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: chunk {} is missing", pack.source->name(), number));
  }
  if (entry->raw_size != reference.raw_size || entry->raw_digest != reference.raw_digest) {
    throw Error(
        ErrorCode::corrupt,
        fmt::format("{}: chunk {} at offset {}: the chunk table says {} bytes with raw "
                    "digest {}, the manifest expected {} bytes with {}",
                    pack.source->name(), number, entry->offset, entry->raw_size,
                    entry->raw_digest.hex(), reference.raw_size, reference.raw_digest.hex()));
  }
  format::read_chunk(*pack.source, pack.directory, *entry, out);
}

CheckpointRecord describe(const OpenPack& pack, const format::Manifest& manifest,
                          std::uint64_t commit) {
  CheckpointRecord record = record_from_facts(manifest.checkpoint);
  record.id = pack.directory.header.uuid;
  record.commit = commit;
  record.file_size = pack.directory.file_size;
  record.tensor_count = manifest.tensors.size();
  record.tensor_bytes = 0;
  for (const format::StorageEntry& storage : manifest.storages) {
    record.tensor_bytes += storage.size;
  }
  return record;
}

}  // namespace ckp

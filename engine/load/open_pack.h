// Open packs and the chunks in them.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "ckp/file_system.h"
#include "ckp/format/manifest.h"
#include "ckp/format/pack.h"
#include "ckp/load.h"
#include "ckp/records.h"

namespace ckp {

struct OpenPack {
  std::shared_ptr<const format::ByteSource> source;
  format::PackDirectory directory;
};

// Opens a pack and reads its directory. Throws as format::read_directory does, with the path.
OpenPack open_pack(FileSystem& fs, const std::filesystem::path& path);

// By uuid.
using PackSet = std::map<Uuid, OpenPack>;

// Fills `out` (reference.raw_size bytes) from the pack that holds the chunk: verified down to the
// raw digest that the reference expects. Error(corrupt) names file, chunk and offset.
void read_reference(const PackSet& packs, const Uuid& own_pack,
                    const format::ChunkReference& reference, std::span<std::byte> out);

// The record that a pack's own manifest tells: facts, plus id, sizes and counts. `commit` comes
// from the file name.
CheckpointRecord describe(const OpenPack& pack, const format::Manifest& manifest,
                          std::uint64_t commit);

struct Checkpoint::Parts {
  CheckpointRecord record;
  format::Manifest manifest;
  PackSet packs;           // the checkpoint's own and all it refers to
  std::string name;        // path of its own pack
  std::string store = {};  // path of the store it was found in; empty: a file by itself
};

// What follows the message about a damaged chunk, as a reference of `parts` addresses it:
// "; hits tensor model/fc1.weight and 3 others; run: ckptool verify ./store".
std::string damage_report(const Checkpoint::Parts& parts, const format::ChunkAddress& address);

}  // namespace ckp

#include "convert/copy_chunks.h"

#include <fmt/format.h>

#include <map>

#include "ckp/error.h"

namespace ckp {
namespace {

using format::ChunkReference;

class ChunkCopier {
 public:
  ChunkCopier(const Checkpoint::Parts& from, format::PackWriter& to) : from_(from), to_(to) {}

  // Copies the chunk behind `reference`, once, and returns the reference to the copy.
  ChunkReference copy(const ChunkReference& reference);

 private:
  const OpenPack& pack_of(const ChunkReference& reference) const;

  const Checkpoint::Parts& from_;
  format::PackWriter& to_;
  std::map<format::ChunkAddress, std::uint32_t> numbers_;
};

const OpenPack& ChunkCopier::pack_of(const ChunkReference& reference) const {
  const bool own = reference.address.pack.is_nil();
  const Uuid uuid = own ? from_.record.id : reference.address.pack;
  const auto found = from_.packs.find(uuid);
  if (found != from_.packs.end()) return found->second;
  throw Error(ErrorCode::corrupt, fmt::format("{}: chunk {} lies in pack {}, which is missing",
                                              from_.name, reference.address.number, uuid.hex()));
}

ChunkReference ChunkCopier::copy(const ChunkReference& reference) {
  ChunkReference result{{Uuid{}, 0}, reference.raw_digest, reference.raw_size};
  const OpenPack& pack = pack_of(reference);
  const format::ChunkAddress address{pack.directory.header.uuid, reference.address.number};
  if (const auto known = numbers_.find(address); known != numbers_.end()) {
    result.address.number = known->second;
    return result;
  }
  const format::TableEntry* entry = pack.directory.find_chunk(address.number);
  const auto bad = [&](std::string_view problem) {
    throw Error(ErrorCode::corrupt, fmt::format("{}: chunk {} of {} {}", from_.name, address.number,
                                                pack.source->name(), problem));
  };
  if (entry == nullptr) bad("is missing");
  if (entry->raw_digest != reference.raw_digest || entry->raw_size != reference.raw_size) {
    bad(fmt::format("has raw digest {} and {} bytes, expected {} and {}", entry->raw_digest.hex(),
                    entry->raw_size, reference.raw_digest.hex(), reference.raw_size));
  }
  // Checked down to the checksum of the stored bytes; whoever reads the copy checks the rest.
  const format::Record record = format::read_record(*pack.source, pack.directory, *entry);
  result.address.number =
      to_.add_chunk(reference.raw_digest, reference.raw_size, record.header.codec, record.stored);
  numbers_.emplace(address, result.address.number);
  return result;
}

}  // namespace

format::Manifest copy_chunks(const Checkpoint::Parts& from, format::PackWriter& to) {
  ChunkCopier copier(from, to);
  format::Manifest manifest = from.manifest;
  for (ChunkReference& reference : manifest.references) {
    try {
      reference = copier.copy(reference);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt) throw;
      throw Error(ErrorCode::corrupt, error.what() + damage_report(from, reference.address));
    }
  }
  return manifest;
}

}  // namespace ckp

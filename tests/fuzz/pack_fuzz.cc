// A pack: header, trailer, chunk table, records; read by its table, and by scanning.
#include "ckp/digest.h"
#include "fuzz/memory_source.h"
#include "fuzz/repair.h"
#include "fuzz/target.h"

namespace ckp::fuzz {
namespace {

using format::PackDirectory;
using format::TableEntry;

constexpr std::uint32_t largest_chunk = 1u << 20;  // larger ones only cost time

void read_chunks(const MemorySource& source, const PackDirectory& directory) {
  std::vector<std::byte> raw;
  for (const TableEntry& entry : directory.chunks) {
    require(directory.find_chunk(entry.number) == &entry, "a chunk is found by its number");
    takes([&] { format::read_record(source, directory, entry); });
    if (entry.raw_size > largest_chunk) continue;
    raw.resize(entry.raw_size);
    if (!takes([&] { format::read_chunk(source, directory, entry, raw); })) continue;
    require(digest_of(raw) == entry.raw_digest, "what was read has the digest that was promised");
  }
}

void read_manifests(const MemorySource& source, const PackDirectory& directory) {
  for (std::uint32_t i = 0; i <= directory.manifests.size() / 2; ++i) {
    std::vector<std::string> damage;
    refused_or([&] { return format::read_manifest(source, directory, i, &damage); });
  }
}

void read_headers(BytesView file) {
  if (const auto header = refused_or([&] { return format::decode_pack_header(file); })) {
    const auto again = format::decode_pack_header(format::encode_pack_header(*header));
    require(again.uuid == header->uuid && again.generation == header->generation &&
                again.alignment_log2 == header->alignment_log2 &&
                again.may_use == header->may_use && again.versions == header->versions,
            "a pack header survives being written again");
  }
  const auto end =
      file.size() < format::PackTrailer::size ? file : file.last(format::PackTrailer::size);
  if (const auto trailer = refused_or([&] { return format::decode_pack_trailer(end); })) {
    const auto again = format::decode_pack_trailer(format::encode_pack_trailer(*trailer));
    require(again.uuid == trailer->uuid && again.file_size == trailer->file_size &&
                again.table_offset == trailer->table_offset &&
                again.chunk_count == trailer->chunk_count &&
                again.manifest_count == trailer->manifest_count && again.uses == trailer->uses,
            "a pack trailer survives being written again");
  }
}

void fuzz_one(BytesView file) {
  read_headers(file);
  const MemorySource source(file);
  for (const auto read : {format::read_directory, format::scan_directory}) {
    const auto directory = refused_or([&] { return read(source); });
    if (!directory) continue;
    read_chunks(source, *directory);
    read_manifests(source, *directory);
  }
}

}  // namespace
}  // namespace ckp::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ckp::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  return ckp::fuzz::mutate_and_repair(data, size, max_size, seed, 64, ckp::fuzz::repair_pack);
}

#include "store/pack_in_the_making.h"

#include <utility>

#include "runs/record_codec.h"

namespace ckp {
namespace {

std::map<Uuid, std::filesystem::path> referred_packs(const format::Manifest& manifest,
                                                     const PackSet& open) {
  std::map<Uuid, std::filesystem::path> packs;
  for (const auto& reference : manifest.references) {
    const Uuid& uuid = reference.address.pack;
    if (uuid.is_nil() || packs.contains(uuid)) continue;
    const auto known = open.find(uuid);
    packs.emplace(uuid, known == open.end() ? std::string() : known->second.source->name());
  }
  return packs;
}

std::vector<ChunkRow> rows_of(const format::PackWriter& writer, const Uuid& pack) {
  std::vector<ChunkRow> rows;
  for (const format::TableEntry& entry : writer.chunks()) {
    if (entry.kind != format::RecordKind::chunk) continue;
    rows.push_back({entry.raw_digest, {pack, entry.number}, entry.raw_size});
  }
  return rows;
}

format::PackHeader header_of(const Registration& registration) {
  format::PackHeader header;
  header.uuid = registration.uuid();
  header.may_use = format::pack_features;
  return header;
}

}  // namespace

void ReservingSink::append(std::span<const std::byte> bytes) {
  constexpr std::uint64_t step = PackInTheMaking::large_pack;
  if (large_ && appender_.offset() + bytes.size() > reserved_) {
    file_.reserve(reserved_, step);
    reserved_ += step;
  }
  appender_.append(bytes);
}

void ReservingSink::finish() {
  appender_.flush();
  if (reserved_ > appender_.offset()) file_.truncate(appender_.offset());  // gives back the rest
}

PackInTheMaking::PackInTheMaking(StoreCore& core, const std::string& directory, bool large)
    : registration_(core, directory),
      sink_(registration_.file(), large),
      writer_([this](std::span<const std::byte> bytes) { sink_.append(bytes); },
              header_of(registration_)) {}

void PackInTheMaking::describe(format::Manifest manifest, CheckpointRecord record,
                               const PackSet& open) {
  record.id = registration_.uuid();
  record.tensor_count = manifest.tensors.size();
  record.tensor_bytes = 0;
  for (const auto& storage : manifest.storages) record.tensor_bytes += storage.size;
  referred_packs_ = referred_packs(manifest, open);
  manifest_ = std::move(manifest);
  record_ = std::move(record);
}

void PackInTheMaking::finish(const JournalMark& journal) {
  record_.journal = journal;
  manifest_.checkpoint = manifest_facts(record_);
  writer_.finish(std::span(&manifest_, 1));
  sink_.finish();
  record_.file_size = writer_.size();
  registration_.file().start_sync();
}

Commit PackInTheMaking::commit() {
  Commit commit;
  commit.registration = &registration_;
  commit.record = record_;
  commit.chunks = rows_of(writer_, registration_.uuid());
  commit.referred_packs = std::move(referred_packs_);
  return commit;
}

}  // namespace ckp

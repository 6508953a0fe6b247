#include "check/survey.h"

#include <fmt/format.h>

#include <algorithm>

#include "check/reference_check.h"
#include "check/rescue_source.h"
#include "ckp/error.h"

namespace ckp {
namespace {

using format::ChunkAddress;
using format::ChunkReference;
using Key = std::pair<Digest, std::uint32_t>;  // raw digest and size of a chunk

class Surveyor {
 public:
  Surveyor(StoreCore& core, const RepairOptions& options) : core_(core), options_(options) {}

  Survey run() {
    found_.snapshot = take_snapshot(core_, found_.cache);
    found_.put_backs = find_put_backs(core_.fs(), core_.layout(), found_.snapshot);
    if (!found_.put_backs.moves.empty()) return std::move(found_);
    check_all_packs();
    if (!found_.complete) return std::move(found_);
    for (const UnreachableFile& file : found_.snapshot.unreachable) {
      found_.unreadable.push_back({file.facts.file.path.string(), file.what_is_wrong()});
    }
    for (const std::string& run : found_.snapshot.unreachable_runs) {
      found_.unreadable.push_back(
          {core_.layout().run(run).string(), leads_nowhere(core_.layout(), run).what()});
    }
    put_back_strays();
    read_repeated();
    find_wanted();
    find_twins();
    settle();
    return std::move(found_);
  }

 private:
  void check_all_packs() {
    VerifyOptions verify;
    verify.progress = options_.progress;
    verify.cancelled = options_.cancelled;
    std::vector<const PackFacts*> packs;
    std::vector<std::filesystem::path> files;
    std::uint64_t bytes = 0;
    for (const auto& [uuid, pack] : found_.snapshot.packs) {
      packs.push_back(&pack);
      files.push_back(pack.file.path);
      bytes += pack.size;
    }
    ProgressCounter counter(verify, bytes);
    const CheckScope scope{options_.level, {1.0, 0}};
    check_packs(core_.fs(), files, scope, options_.threads, counter,
                [&](std::size_t i, PackCheck& check) { take(*packs[i], check); });
    found_.complete = !counter.stopped();
  }

  void take(const PackFacts& pack, PackCheck& check) {
    if (check.refused) {
      if (check.refused->code() == ErrorCode::newer_format) throw *check.refused;
      found_.unreadable.push_back({pack.file.path.string(), check.refused->what(),
                                   check.refused->code() != ErrorCode::read_only});
      return;
    }
    const bool kept = pack.file.name.is_kept();
    if (check.problems.empty() && (!kept || !pack.record.id.is_nil())) return;
    if (check.directory && check.directory->header.uuid == pack.file.name.uuid &&
        check.problems.empty() && !check.directory->manifests.empty()) {
      found_.misplaced.push_back(pack.file.path);  // another run's directory
      return;
    }
    add_patient(pack, check);
  }

  void add_patient(const PackFacts& pack, PackCheck& check) {
    Patient& patient = found_.patients[pack.file.name.uuid];
    patient.facts = &pack;
    for (const PackProblem& problem : check.problems) {
      patient.messages.push_back(problem.message);
      if (problem.chunk >= 0) patient.bad.insert(static_cast<std::uint32_t>(problem.chunk));
    }
    OpenPack content{check.source, {}};
    if (check.directory) {
      content.directory = std::move(*check.directory);
    } else if (!rescue(content, pack.file.name.uuid)) {
      return;
    }
    auto opened = std::make_shared<const OpenPack>(std::move(content));
    if (opened->directory.header.uuid != pack.file.name.uuid) {
      patient.messages.push_back(fmt::format("{}: the file holds pack {}", pack.file.path.string(),
                                             opened->directory.header.uuid.hex()));
      patient.bad.clear();
      strays_.push_back(std::move(opened));
      return;
    }
    if (opened->directory.manifests.empty()) {
      patient.messages.push_back(
          fmt::format("{}: there is no manifest in it", pack.file.path.string()));
    }
    patient.manifest = try_manifest(*opened);
    patient.content = std::move(opened);
  }

  static std::optional<format::Manifest> try_manifest(const OpenPack& pack) {
    try {
      return format::read_manifest(*pack.source, pack.directory);
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  // Further files of packs of whose own file nothing can be read.
  void read_repeated() {
    for (const auto& path : found_.snapshot.repeated) {
      try {
        const auto pack = std::make_shared<const OpenPack>(open_pack(core_.fs(), path));
        const auto at = found_.patients.find(pack->directory.header.uuid);
        if (at == found_.patients.end() || at->second.content) continue;
        at->second.content = pack;
        at->second.manifest = try_manifest(*pack);
        at->second.bad = unreadable_chunks(*pack);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::out_of_resources) throw;
        // Damaged as well, or gone.
      }
    }
  }

  static std::set<std::uint32_t> unreadable_chunks(const OpenPack& pack) {
    std::set<std::uint32_t> bad;
    for (const format::TableEntry& entry : pack.directory.chunks) {
      std::vector<std::byte> raw(entry.raw_size);
      try {
        format::read_chunk(*pack.source, pack.directory, entry, raw);
      } catch (const Error&) {
        bad.insert(entry.number);
      }
    }
    return bad;
  }

  // Packs that lie under each other's names.
  void put_back_strays() {
    for (const auto& stray : strays_) {
      const auto at = found_.patients.find(stray->directory.header.uuid);
      if (at == found_.patients.end() || at->second.content) continue;
      at->second.content = stray;
      at->second.manifest = try_manifest(*stray);
    }
  }

  // Every chunk that a checkpoint, live or in the trash, refers to and does not find, and those
  // that a damaged pack lists.
  void find_wanted() {
    KnownChunks known(core_);
    for (const auto& [uuid, pack] : found_.snapshot.packs) {
      if (!pack.file.name.is_kept()) continue;
      if (pack.needs.empty() && !found_.patients.contains(uuid)) continue;
      if (const auto manifest = manifest_of(core_, found_, pack)) {
        find_wanted_of(pack, *manifest, known);
      }
    }
    for (const auto& [uuid, patient] : found_.patients) {
      for (const std::uint32_t number : patient.bad) {
        const auto* entry =
            patient.content ? patient.content->directory.find_chunk(number) : nullptr;
        if (entry != nullptr) want({uuid, number}, entry->raw_digest, entry->raw_size);
      }
    }
  }

  void find_wanted_of(const PackFacts& pack, const format::Manifest& manifest, KnownChunks& known) {
    const Uuid& own = pack.file.name.uuid;
    for (ChunkReference reference : manifest.references) {
      if (reference.address.pack.is_nil()) reference.address.pack = own;
      if (is_there(pack, reference, known)) continue;
      Patient& patient = found_.patients[reference.address.pack];
      if (patient.facts == nullptr) complete_patient(reference.address.pack, patient);
      if (patient.users.empty() || patient.users.back() != own) patient.users.push_back(own);
      found_.lost.insert(reference.address);  // until a twin is found
      want(reference.address, reference.raw_digest, reference.raw_size);
    }
  }

  bool is_there(const PackFacts& pack, const ChunkReference& reference, KnownChunks& known) {
    const auto patient = found_.patients.find(reference.address.pack);
    if (patient != found_.patients.end()) return patient->second.has(reference);
    if (reference.address.pack == pack.file.name.uuid)
      return true;  // reading the manifest saw to it
    const auto answer = known.find(found_.snapshot.runs[pack.run].directory.name, reference);
    return answer == KnownChunks::Answer::there || answer == KnownChunks::Answer::unknown;
  }

  // A pack that is sound by itself, and lacks what others expect in it; or one without a file.
  void complete_patient(const Uuid& uuid, Patient& patient) {
    const auto at = found_.snapshot.packs.find(uuid);
    if (at == found_.snapshot.packs.end()) {
      patient.messages.push_back(fmt::format("pack {} is missing", uuid.hex()));
      return;
    }
    patient.facts = &at->second;
    patient.messages.push_back(
        fmt::format("{}: lacks chunks that checkpoints refer to", at->second.file.path.string()));
    patient.content = std::make_shared<const OpenPack>(open_pack(core_.fs(), at->second.file.path));
    patient.manifest = try_manifest(*patient.content);
  }

  void want(const ChunkAddress& address, const Digest& digest, std::uint32_t size) {
    wanted_[{digest, size}].insert(address);
  }

  void find_twins() {
    if (wanted_.empty()) return;
    for (const auto& stray : strays_) look_into(stray, nullptr);
    for (const auto& [uuid, patient] : found_.patients) {
      if (patient.content) look_into(patient.content, &patient.bad);
    }
    for (const auto& path : found_.misplaced) look_into(path);
    for (const auto& path : found_.snapshot.repeated) look_into(path);
    for (const auto& [uuid, pack] : found_.snapshot.packs) {
      if (!found_.patients.contains(uuid)) look_into(pack.file.path);
    }
  }

  void look_into(const std::filesystem::path& path) {
    try {
      look_into(std::make_shared<const OpenPack>(open_pack(core_.fs(), path)), nullptr);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::out_of_resources) throw;
      // Gone, or not to be read now.
    }
  }

  void look_into(const std::shared_ptr<const OpenPack>& pack, const std::set<std::uint32_t>* bad) {
    for (const format::TableEntry& entry : pack->directory.chunks) {
      const auto wanted = wanted_.find({entry.raw_digest, entry.raw_size});
      if (wanted == wanted_.end() || (bad != nullptr && bad->contains(entry.number))) continue;
      std::vector<std::byte> raw(entry.raw_size);
      try {
        format::read_chunk(*pack->source, pack->directory, entry, raw);
      } catch (const Error&) {
        continue;
      }
      for (const ChunkAddress& address : wanted->second) {
        found_.patients.at(address.pack).twins[address.number] = {pack, entry};
      }
      wanted_.erase(wanted);
    }
  }

  // What has a twin is not lost, and a sound pack of which nothing else is wanted is no patient.
  void settle() {
    std::erase_if(found_.lost, [&](const ChunkAddress& address) {
      return found_.patients.at(address.pack).twins.contains(address.number);
    });
  }

  StoreCore& core_;
  const RepairOptions& options_;
  Survey found_;
  std::vector<std::shared_ptr<const OpenPack>> strays_;
  std::map<Key, std::set<ChunkAddress>> wanted_;
};

}  // namespace

bool Patient::has(const ChunkReference& reference) const {
  const std::uint32_t number = reference.address.number;
  if (!content || bad.contains(number)) return false;
  const auto* entry = content->directory.find_chunk(number);
  return entry != nullptr && entry->raw_digest == reference.raw_digest &&
         entry->raw_size == reference.raw_size;
}

std::optional<format::Manifest> manifest_of(StoreCore& core, const Survey& found,
                                            const PackFacts& pack) {
  const auto patient = found.patients.find(pack.file.name.uuid);
  if (patient != found.patients.end()) return patient->second.manifest;
  try {
    return read_checkpoint(core.fs(), pack.file).manifest;
  } catch (const Error&) {
    return std::nullopt;
  }
}

Survey survey(StoreCore& core, const RepairOptions& options) {
  return Surveyor(core, options).run();
}

}  // namespace ckp

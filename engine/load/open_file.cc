#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <utility>

#include "ckp/error.h"
#include "ckp/load.h"
#include "load/open_pack.h"

namespace ckp {
namespace {

// Packs other than its own that a manifest refers to.
std::set<Uuid> foreign_packs(const format::Manifest& manifest, const Uuid& own) {
  std::set<Uuid> packs;
  for (const format::ChunkReference& reference : manifest.references) {
    const Uuid& pack = reference.address.pack;
    if (!pack.is_nil() && pack != own) packs.insert(pack);
  }
  return packs;
}

void check_standalone(const OpenPack& pack, const format::Manifest& manifest) {
  const auto packs = foreign_packs(manifest, pack.directory.header.uuid);
  if (packs.empty()) return;
  std::vector<std::string> names;
  for (const Uuid& uuid : packs) names.push_back(uuid.hex());
  throw Error(ErrorCode::invalid_argument,
              fmt::format("{}: not a standalone file: some of its chunks lie in {} other pack{} of "
                          "its store: {}; run: ckptool convert STORE ADDRESS OUT.ckp",
                          pack.source->name(), names.size(), names.size() == 1 ? "" : "s",
                          fmt::join(names, ", ")));
}

}  // namespace

Checkpoint open_file(const std::filesystem::path& path, std::shared_ptr<FileSystem> fs) {
  OpenPack pack = open_pack(*fs, path);
  auto parts = std::make_shared<Checkpoint::Parts>();
  parts->manifest = format::read_manifest(*pack.source, pack.directory);
  check_standalone(pack, parts->manifest);
  parts->record = describe(pack, parts->manifest, 0);
  parts->name = pack.source->name();
  parts->packs.emplace(pack.directory.header.uuid, std::move(pack));
  return Checkpoint(std::move(parts));
}

}  // namespace ckp

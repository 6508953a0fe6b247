#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ckp/artifacts.h"
#include "ckp/error.h"
#include "compare/chunk_cache.h"
#include "io/durable_file.h"

namespace ckp {
namespace {

constexpr std::size_t names_shown = 10;

[[noreturn]] void throw_no_artifact(const Checkpoint& checkpoint, std::string_view name,
                                    const std::vector<Artifact>& artifacts) {
  std::vector<std::string> names;
  for (const Artifact& each : artifacts) names.push_back(each.name);
  const std::size_t more = names.size() > names_shown ? names.size() - names_shown : 0;
  names.resize(names.size() - more);
  throw Error(ErrorCode::not_found,
              fmt::format("{}: no artifact {}; it has: {}{}", checkpoint.name(), name,
                          names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")),
                          more == 0 ? "" : fmt::format(" and {} more", more)));
}

}  // namespace

void read_artifact(const Checkpoint& checkpoint, std::string_view name,
                   const std::function<void(std::span<const std::byte>)>& take) {
  const format::Manifest& manifest = checkpoint.manifest();
  const std::vector<Artifact> artifacts = artifacts_of(checkpoint);
  const auto artifact = std::ranges::find(artifacts, name, &Artifact::name);
  if (artifact == artifacts.end()) throw_no_artifact(checkpoint, name, artifacts);
  const format::TensorEntry& tensor = *manifest.find(fmt::format("{}/{}", artifacts_part, name));
  ChunkCache chunks(checkpoint.parts());
  DigestStream digest;
  std::uint64_t begin = 0;
  const auto& pieces = manifest.storages[tensor.storage].pieces;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    std::span<const std::byte> bytes;
    try {
      bytes = chunks.get_patched(tensor.storage, i, begin);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt) throw;
      const auto& address = manifest.references[pieces[i].reference].address;
      throw Error(ErrorCode::corrupt, fmt::format("artifact {}: {}{}", name, error.what(),
                                                  damage_report(checkpoint.parts(), address)));
    }
    digest.update(bytes);
    take(bytes);
    begin += bytes.size();
  }
  if (digest.digest() == artifact->digest) return;
  throw Error(ErrorCode::corrupt,
              fmt::format("{}: artifact {}: its bytes have the digest {}, expected {}",
                          checkpoint.name(), name, digest.digest().hex(), artifact->digest.hex()));
}

void extract_artifact(const Checkpoint& checkpoint, std::string_view name,
                      const std::filesystem::path& to, bool replace,
                      std::shared_ptr<FileSystem> fs) {
  write_durably(*fs, to, replace, [&](FileAppender& out) {
    read_artifact(checkpoint, name, [&](std::span<const std::byte> bytes) { out.append(bytes); });
  });
}

}  // namespace ckp

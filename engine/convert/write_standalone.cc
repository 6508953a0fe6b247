// A checkpoint becomes one file: stored chunks are copied as they are, but for differences.
#include "ckp/convert.h"
#include "convert/copy_chunks.h"
#include "io/durable_file.h"
#include "io/host.h"

namespace ckp {

ConvertReport write_standalone(const Checkpoint& from, const std::filesystem::path& to,
                               std::shared_ptr<FileSystem> fs) {
  ConvertReport report;
  report.tensors = from.manifest().tensors.size();
  write_durably(*fs, to, true, [&](FileAppender& out) {
    format::PackHeader pack;
    pack.uuid = random_uuid();
    if (!from.manifest().patches.empty()) pack.may_use.refuse |= format::feature::patches;
    if (!from.manifest().derived.empty()) pack.may_use.refuse |= format::feature::derived;
    format::PackWriter writer([&](std::span<const std::byte> bytes) { out.append(bytes); }, pack);
    const format::Manifest manifest = copy_chunks(from.parts(), writer);
    writer.finish({&manifest, 1});
    report.bytes = out.offset();
  });
  return report;
}

}  // namespace ckp

#include "check/pack_rewriter.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "io/durable_file.h"

namespace ckp {
namespace {

void write_chunks(format::PackWriter& writer, const std::map<std::uint32_t, ChunkSource>& chunks) {
  for (const auto& [number, source] : chunks) {
    const auto record =
        format::read_record(*source.pack->source, source.pack->directory, source.entry);
    writer.add_chunk_as(number, record.header.raw_digest,
                        static_cast<std::uint32_t>(record.header.raw_size), record.header.codec,
                        record.stored);
  }
}

format::PackDirectory read_back(FileSystem& fs, const std::filesystem::path& path) {
  VerifyOptions options;
  ProgressCounter counter(options, 0);
  format::PackDirectory directory;
  check_packs(fs, {path}, {}, options.threads, counter, [&](std::size_t, PackCheck& check) {
    if (check.refused) throw *check.refused;
    if (!check.problems.empty()) {
      throw Error(ErrorCode::io,
                  fmt::format("{}: was written a moment ago and reads back damaged; nothing was "
                              "changed, check the disk: {}",
                              path.string(), check.problems.front().message));
    }
    directory = std::move(*check.directory);
  });
  return directory;
}

}  // namespace

NewPack write_pack(StoreCore& core, const std::string& run_directory, format::PackHeader header,
                   const std::map<std::uint32_t, ChunkSource>& chunks,
                   const std::optional<format::Manifest>& manifest) {
  NewPack pack;
  pack.file = header.uuid.is_nil()  // S1
                  ? std::make_unique<Registration>(core, run_directory)
                  : std::make_unique<Registration>(core, run_directory, header.uuid);
  header.uuid = pack.file->uuid();
  FileAppender appender(pack.file->file());
  format::PackWriter writer([&](std::span<const std::byte> bytes) { appender.append(bytes); },
                            header);
  write_chunks(writer, chunks);
  if (manifest) {
    writer.finish(std::span(&*manifest, 1));
  } else {
    writer.finish({});
  }
  appender.flush();
  pack.file->file().sync();  // S4
  pack.directory = read_back(core.fs(), pack.file->path());
  return pack;
}

}  // namespace ckp

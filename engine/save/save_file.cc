#include <fmt/format.h>

#include <chrono>

#include "ckp/clock.h"
#include "ckp/save.h"
#include "io/durable_file.h"
#include "io/host.h"
#include "runs/record_codec.h"
#include "save/captured_artifacts.h"
#include "save/state_writer.h"

namespace ckp {
namespace {

CheckpointRecord make_record(const SaveOptions& options) {
  CheckpointRecord record;
  record.id = random_uuid();
  record.epoch = options.epoch;
  record.step = options.step;
  record.metrics = options.metrics;
  record.tags = options.tags;
  record.final = options.final;
  record.created_ns = system_clock()->now_ns();
  record.writer = "ckpstore " CKP_VERSION;
  return record;
}

}  // namespace

SaveReport save_file(const std::filesystem::path& path, const StateDict& state,
                     const SaveOptions& options, std::shared_ptr<FileSystem> fs) {
  using SteadyClock = std::chrono::steady_clock;
  SaveReport report;
  report.path = path;
  report.checkpoint = make_record(options);
  CheckpointRecord& record = report.checkpoint;
  const auto artifacts = capture_artifacts(*fs, state, options.artifacts);
  SteadyClock::time_point written;
  write_durably(*fs, path, true, [&](FileAppender& file) {
    format::PackHeader header;
    header.uuid = record.id;
    header.may_use.refuse = format::feature::derived;
    format::PackWriter writer([&](std::span<const std::byte> bytes) { file.append(bytes); },
                              header);
    WrittenState saved = write_state(state, writer, nullptr, options.encode);
    write_artifacts(artifacts, saved, writer, nullptr, options.encode);
    record.nonfinite = saved.nonfinite;
    record.tensor_count = saved.manifest.tensors.size();
    for (const auto& storage : saved.manifest.storages) record.tensor_bytes += storage.size;
    saved.manifest.checkpoint = manifest_facts(record);
    writer.finish({&saved.manifest, 1});
    record.file_size = writer.size();
    report.chunks_written = saved.chunks_written;
    report.chunks_derived = saved.chunks_derived;
    report.chunks_shared = saved.chunks_shared;
    report.bytes_shared = saved.bytes_shared;
    report.bytes_written = writer.size();
    report.hash_ns = saved.hash_ns;
    report.encode_ns = saved.encode_ns;
    report.write_ns = saved.write_ns;
    written = SteadyClock::now();
  });
  report.sync_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now() - written).count();
  return report;
}

}  // namespace ckp

#include "retention/rewrite.h"

#include <fmt/format.h>

#include <optional>

#include "ckp/error.h"
#include "io/durable_file.h"
#include "store/registration.h"

namespace ckp {
namespace {

[[noreturn]] void give_up(const std::string& why) { throw Error(ErrorCode::locked, why); }

// Another process makes the same pack smaller, or has taken it away: nothing is left undone.
struct Overtaken : Error {
  Overtaken() : Error(ErrorCode::locked, "another process was faster") {}
};

// One pack on its way. Its file under the old name is whole at every moment.
class PackRewriter {
 public:
  PackRewriter(StoreCore& core, const PlannedRewrite& plan, const std::string& directory)
      : core_(core), plan_(plan), registration_(core, directory, plan.pack) {  // W1
    file_ = retired_file();
    status_ = status_of(file_);
    pack_ = open_pack(core.fs(), file_.path);
  }

  // W2.
  void write() {
    File& file = registration_.file();
    file.reserve(0, plan_.bytes_after);
    FileAppender appender(file);
    format::PackHeader header;
    header.uuid = plan_.pack;
    header.alignment_log2 = pack_.directory.header.alignment_log2;
    header.generation = pack_.directory.header.generation + 1;
    format::PackWriter writer([&](std::span<const std::byte> bytes) { appender.append(bytes); },
                              header);
    for (const format::TableEntry& entry : pack_.directory.chunks) {
      if (!plan_.needed.contains(entry.number)) continue;
      // Checked down to the checksum of the stored bytes, which are copied as they are.
      const format::Record record = format::read_record(*pack_.source, pack_.directory, entry);
      writer.add_chunk_as(entry.number, entry.raw_digest, entry.raw_size, record.header.codec,
                          record.stored);
    }
    writer.finish({});
    appender.flush();
    file.sync();
  }

  // W3, W4.
  void replace(PackCache& cache) {
    const StoreLock lock = core_.lock();
    // A copy that was left by a killed process had this name: whoever sweeps that up takes this one
    // for it, and the file that has the name now may be a third one's.
    if (!registration_.is_in_place()) throw Overtaken();
    const ScannedPack now = retired_file();
    const FileStatus status = status_of(now);
    if (status.device != status_.device || status.inode != status_.inode) {
      throw Overtaken();
    }
    const Snapshot snapshot = take_snapshot(core_, cache);
    const Roots roots(snapshot, {});
    if (roots.contains(plan_.pack) || roots.unreadable_user_of(now.name) ||
        !plan_.needed.contains_all(roots.needed_of(plan_.pack))) {
      give_up("its chunks are needed again");
    }
    core_.fs().rename(registration_.path(), now.path, true);
    registration_.committed();
    core_.fs().sync_directory(now.path.parent_path());
  }

 private:
  ScannedPack retired_file() const {
    const auto file = find_pack(core_.fs(), core_.layout(), registration_.directory(), plan_.pack);
    if (!file || file->name.state != PackState::retired) throw Overtaken();
    return *file;
  }

  FileStatus status_of(const ScannedPack& file) const {
    const auto status = core_.fs().status(file.path);
    if (!status) throw Overtaken();
    return *status;
  }

  StoreCore& core_;
  const PlannedRewrite& plan_;
  Registration registration_;
  ScannedPack file_;
  FileStatus status_;
  OpenPack pack_;
};

// W1. Another process has begun a copy of that name, or the pack is gone, its run perhaps as well.
void begin(std::optional<PackRewriter>& rewriter, StoreCore& core, const PlannedRewrite& plan,
           const std::string& directory) {
  try {
    rewriter.emplace(core, plan, directory);
  } catch (const Error& error) {
    const bool overtaken =
        error.code() == ErrorCode::already_exists || error.code() == ErrorCode::not_found;
    if (overtaken) throw Overtaken();
    throw;
  }
}

void rewrite_pack(StoreCore& core, PackCache& cache, const PlannedRewrite& plan) {
  const auto& file = cache.at(plan.pack).file;
  std::optional<PackRewriter> rewriter;
  begin(rewriter, core, plan, file.path.parent_path().filename().string());
  rewriter->write();
  rewriter->replace(cache);
}

}  // namespace

std::vector<std::string> rewrite_packs(StoreCore& core, PackCache& cache, Collection& collection) {
  std::vector<std::string> notes;
  std::erase_if(collection.rewrites, [&](const PlannedRewrite& plan) {
    try {
      rewrite_pack(core, cache, plan);
      return false;
    } catch (const Overtaken&) {
      return true;
    } catch (const Error& error) {
      notes.push_back(fmt::format("pack {} is kept as it is, with {} bytes that nothing needs: {}",
                                  plan.pack.hex(), plan.bytes_before - plan.bytes_after,
                                  error.what()));
      return true;
    }
  });
  return notes;
}

}  // namespace ckp

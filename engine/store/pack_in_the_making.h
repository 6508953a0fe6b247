// S1 to S4 of one save, and what its commit needs to know.
#pragma once

#include "ckp/format/manifest.h"
#include "ckp/format/pack.h"
#include "ckp/records.h"
#include "io/durable_file.h"
#include "store/commit.h"
#include "store/registration.h"

namespace ckp {

// Appends to a pack. Asks for the space of a large one as it grows, so that a full disk is noticed
// early.
class ReservingSink {
 public:
  ReservingSink(File& file, bool large) : file_(file), appender_(file), large_(large) {}
  void append(std::span<const std::byte> bytes);
  void finish();

 private:
  File& file_;
  FileAppender appender_;
  bool large_;
  std::uint64_t reserved_ = 0;
};

// A registered pack being written. Abandoned by the destructor unless it was committed.
class PackInTheMaking {
 public:
  // `directory`: of the run. `large`: at least large_pack bytes are to be expected.
  PackInTheMaking(StoreCore& core, const std::string& directory, bool large);
  static constexpr std::uint64_t large_pack = 64u << 20;

  format::PackWriter& writer() { return writer_; }
  // The chunks are written, and this is what they are. Of `record`, the sizes and the id are filled
  // in. `open`: packs that the manifest may refer to.
  void describe(format::Manifest manifest, CheckpointRecord record, const PackSet& open = {});
  // Writes the manifest, which promises `journal`, and lets the disk begin with what is left.
  void finish(const JournalMark& journal);
  void sync() { registration_.file().sync(); }  // S4
  Commit commit();

 private:
  Registration registration_;  // S1
  ReservingSink sink_;
  format::PackWriter writer_;
  format::Manifest manifest_;
  CheckpointRecord record_;
  std::map<Uuid, std::filesystem::path> referred_packs_;
};

}  // namespace ckp

// S2: which stored chunks a save may share.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "save/state_writer.h"
#include "store/run_scan.h"
#include "store/store_core.h"

namespace ckp {

// Chunks of checkpoints that are live at the time of asking. To be made after the save has
// registered: what is live then cannot be collected before the save ends. Two sources: the previous
// checkpoints of this run, and packs that the index knows and whose file has its live name.
class LiveChunks : public ChunkFinder {
 public:
  // `previous`: the run's last checkpoint of this process or the one it continued from. `base`: the
  // one that the state was compared with, an earlier one perhaps. Either may be null.
  LiveChunks(StoreCore& core, std::string run_directory, const Checkpoint::Parts* previous,
             const Checkpoint::Parts* base);

  std::vector<std::vector<format::ChunkReference>> find(
      std::span<const Digest> raw_digests, std::span<const std::uint32_t> raw_sizes) override;
  bool read(const format::ChunkReference& reference, std::span<std::byte> out) override;
  bool is_live(const format::ChunkReference& unchanged) override;
  void read_unchanged(const format::ChunkReference& unchanged, std::span<std::byte> out) override;

  // All that have been opened: those of a checkpoint that is shared from are among them.
  const PackSet& packs() const { return packs_; }

 private:
  void add_chunks_of(const Checkpoint::Parts& checkpoint);
  void add_from_index(std::span<const Digest> raw_digests,
                      std::vector<std::vector<format::ChunkReference>>& found);
  bool is_live(const Uuid& pack, const Index& index);

  StoreCore& core_;
  std::string directory_;
  const Checkpoint::Parts* base_;
  std::map<Digest, format::ChunkReference> known_;  // by content id
  std::set<format::ChunkAddress> live_chunks_;
  std::map<Uuid, bool> live_;  // packs asked about
  PackSet packs_;              // opened for comparing
};

}  // namespace ckp

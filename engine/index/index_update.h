// Changes of the index, as changes of rows.
#pragma once

#include "index/index.h"
#include "index/rows.h"

namespace ckp {

class RowUpdate : public IndexUpdate {
 public:
  explicit RowUpdate(RowWriter& rows) : rows_(rows) {}
  void put_run(const RunRecord& run) override;
  void erase_run(const Uuid& run) override;
  void put_checkpoint(const CheckpointRecord& checkpoint) override;
  void erase_checkpoint(const Uuid& checkpoint) override;
  void put_chunks(std::span<const ChunkRow> rows) override;
  void erase_chunks(std::span<const Uuid> packs) override;

 private:
  void erase_name_of(const Uuid& run);
  void erase_search_rows(const CheckpointRecord& checkpoint);
  RowWriter& rows_;
};

}  // namespace ckp

// The index's rows as a search sees them.
#pragma once

#include "index/rows.h"

namespace ckp {

// Lives as long as the transaction that `rows` reads in.
class RowView : public SearchView {
 public:
  explicit RowView(RowReader& rows) : rows_(rows) {}
  bool has_order_of(std::string_view metric) const override;
  void by_value(std::string_view metric, const ValueRange& range, bool backwards,
                const Visit& visit) override;
  void by_value_in(const Uuid& run, std::string_view metric, const ValueRange& range,
                   bool backwards, const Visit& visit) override;
  std::optional<std::uint32_t> newest_attempt(const Uuid& run) override;
  CheckpointRecord checkpoint(const MetricEntry& entry) override;
  std::vector<CheckpointRecord> checkpoints(const Uuid& run) override;
  void each_checkpoint(const Uuid& run, bool backwards,
                       const std::function<bool(CheckpointRecord)>& visit) override;
  void each_save(const Uuid& run, const std::function<void(const SaveEntry&)>& visit) override;

 private:
  RowReader& rows_;
};

}  // namespace ckp

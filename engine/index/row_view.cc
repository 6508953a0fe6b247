#include "index/row_view.h"

#include <fmt/format.h>

#include "ckp/error.h"

namespace ckp {

bool RowView::has_order_of(std::string_view metric) const {
  return metric.size() <= longest_metric;
}

void RowView::by_value(std::string_view metric, const ValueRange& range, bool backwards,
                       const Visit& visit) {
  if (!(range.low <= range.high)) return;
  rows_.scan_range(Table::metric_values, row_key::metric(metric), ordered_number(range.low),
                   ordered_number(range.high), backwards, [&](BytesView key, BytesView payload) {
                     return visit(decode_metric_value(key, payload));
                   });
}

void RowView::by_value_in(const Uuid& run, std::string_view metric, const ValueRange& range,
                          bool backwards, const Visit& visit) {
  if (!(range.low <= range.high)) return;
  rows_.scan_range(Table::run_metrics, row_key::run_metric(run, metric), ordered_number(range.low),
                   ordered_number(range.high), backwards, [&](BytesView key, BytesView payload) {
                     return visit(decode_run_metric(key, payload));
                   });
}

std::optional<std::uint32_t> RowView::newest_attempt(const Uuid& run) {
  std::optional<std::uint32_t> newest;
  rows_.scan_range(Table::run_metrics, row_key::run_attempts(run), 0, UINT32_MAX, true,
                   [&](BytesView key, BytesView) {
                     newest = attempt_of_key(key);
                     return false;
                   });
  return newest;
}

CheckpointRecord RowView::checkpoint(const MetricEntry& entry) {
  const Bytes key = row_key::checkpoint(entry.run, entry.commit, entry.checkpoint);
  const auto payload = rows_.get(Table::checkpoints, key);
  if (payload) return decode_checkpoint(*payload);
  throw Error(ErrorCode::corrupt,
              fmt::format("index: a metric's row points at checkpoint {}, which has none",
                          entry.checkpoint.hex()));
}

std::vector<CheckpointRecord> RowView::checkpoints(const Uuid& run) {
  std::vector<CheckpointRecord> all;
  each_checkpoint(run, false, [&](CheckpointRecord one) {
    all.push_back(std::move(one));
    return true;
  });
  return all;
}

void RowView::each_checkpoint(const Uuid& run, bool backwards,
                              const std::function<bool(CheckpointRecord)>& visit) {
  rows_.scan_range(Table::checkpoints, row_key::run_checkpoints(run), 0, UINT64_MAX - 1, backwards,
                   [&](BytesView, BytesView payload) { return visit(decode_checkpoint(payload)); });
}

void RowView::each_save(const Uuid& run, const std::function<void(const SaveEntry&)>& visit) {
  rows_.scan_range(Table::run_metrics, row_key::run_attempts(run), 0, UINT32_MAX, false,
                   [&](BytesView key, BytesView payload) {
                     visit(decode_save(key, payload));
                     return true;
                   });
}

}  // namespace ckp

#include "index/summary.h"

#include <map>
#include <string>

#include "index/index_update.h"

namespace ckp {
namespace {

constexpr Table summed_tables[] = {Table::runs,           Table::run_names,  Table::checkpoints,
                                   Table::checkpoint_ids, Table::chunks,     Table::pack_chunks,
                                   Table::metric_values,  Table::run_metrics};

// Tables that forget their rows and keep the sums: nothing that is asked for is there.
class Forgetful : public TableWriter {
 public:
  std::optional<BytesView> get(Table table, BytesView key) override {
    if (table != Table::meta) return std::nullopt;
    const auto found = meta_.find(hex(key));
    return found == meta_.end() ? std::nullopt : std::optional<BytesView>(found->second);
  }
  void scan(Table, BytesView, const Visit&) override {}
  void scan_back(Table, BytesView, const Visit&) override {}
  void put(Table table, BytesView key, BytesView value) override {
    if (table != Table::meta) return;
    meta_[hex(key)] = Bytes(value.begin(), value.end());
  }
  bool erase(Table, BytesView) override { return false; }

 private:
  std::map<std::string, Bytes> meta_;  // by key
};

}  // namespace

IndexSummary read_summary(RowReader& rows) {
  IndexSummary summary;
  for (const Table table : summed_tables) {
    const TableSums sums = read_sums(rows, table);
    if (sums != TableSums{}) summary.emplace(to_string(table), sums);
  }
  return summary;
}

IndexSummary summary_of(const std::function<void(IndexUpdate&)>& changes) {
  Forgetful tables;
  RowWriter rows(tables);
  RowUpdate update(rows);
  changes(update);
  rows.finish();
  return read_summary(rows);
}

void add(IndexSummary& to, const IndexSummary& from) {
  for (const auto& [table, sums] : from) {
    to[table].count += sums.count;
    to[table].sum += sums.sum;
  }
}

}  // namespace ckp

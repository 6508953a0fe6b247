// Decoded runs, kept: a search looks at every run, and few change between two of them.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "index/index.h"
#include "index/rows.h"

namespace ckp {

bool created_before(const RunRecord& a, const RunRecord& b);

// Thread-safe.
class RunCache {
 public:
  struct Entry {
    std::uint64_t checksum = 0;  // of the row
    std::shared_ptr<const RunRecord> run;
  };
  // In the order of the rows, with the list made of them.
  struct State {
    TableSums sums;  // of these rows
    std::vector<Entry> entries;
    std::shared_ptr<const RunList> list = std::make_shared<RunList>();
  };

  // The rows of a scan of the table `runs`, compared with those of the last one as they come.
  class Rows {
   public:
    explicit Rows(std::shared_ptr<const State> before);
    // Of the last scan. Where the sums are the same, so are the rows.
    const TableSums& sums_before() const { return before_->sums; }
    const std::shared_ptr<const RunList>& list_before() const { return before_->list; }
    // `value`: with its checksum, which has been checked.
    void add(std::uint64_t checksum, BytesView value);
    const TableSums& sums() const { return sums_; }

   private:
    friend class RunCache;
    struct Found {
      std::uint64_t checksum = 0;
      std::shared_ptr<const RunRecord> run;  // null: not known
      Bytes payload;                         // of that
    };
    std::shared_ptr<const State> before_;
    TableSums sums_;
    std::vector<Found> found_;
    std::size_t next_ = 0;
  };

  Rows rows() const;
  // Decodes what is new.
  std::shared_ptr<const RunList> list_of(Rows rows);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const State> state_ = std::make_shared<State>();
};

}  // namespace ckp

// Checking the index against itself and against the files that it is derived from.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "check/pack_check.h"
#include "ckp/error.h"
#include "retention/snapshot.h"
#include "runs/later_facts.h"
#include "store/store_core.h"

namespace ckp {

// The index's rows for one live checkpoint and its chunks.
IndexSummary rows_of_pack(const CheckpointRecord& checkpoint,
                          const format::PackDirectory& directory);

// A checkpoint that the index lists, and that has no file in any state: lost by other hands.
struct LostCheckpoint {
  CheckpointRecord record;
  std::string path;  // where it was
};

struct IndexCheck {
  std::vector<LostCheckpoint> lost;
  std::vector<std::string> damage;  // lines
  std::vector<std::string> notes;
};

class IndexChecker {
 public:
  explicit IndexChecker(StoreCore& core) : core_(core) {}

  // To be called before anything makes the index right. Takes the store's lock.
  void look_before();
  // The pages, the rows' checksums, the tables' sums. With `heal` an index that was not trusted is
  // made right first; without, it is not looked at.
  void check_itself(bool heal);
  // Remembers what the index should say about one pack.
  void expect(const Uuid& pack, IndexSummary rows) { expected_[pack] = std::move(rows); }
  // A run whose journals are damaged: what the index should say about it nobody knows.
  void pass_over(const Uuid& run) { passed_over_.insert(run); }
  // Under the store's lock: the tables' sums against those of the files. Packs that are not
  // expected yet are read. `cache` has the manifests' facts.
  void compare(PackCache& cache);

  // Whether an index is there that a rebuild should replace: another file than the one that was
  // left.
  bool was_changed() const { return changed_; }
  IndexCheck result() { return std::move(check_); }

 private:
  void find_lost();
  void note_not_compared(const Error& error);
  IndexSummary expected_rows(const Snapshot& snapshot, const LaterFacts& facts, const Index& index);
  void name_differences(const IndexSummary& expected, const IndexSummary& found);

  StoreCore& core_;
  bool changed_ = false;
  std::map<Uuid, IndexSummary> expected_;
  std::set<Uuid> passed_over_;
  IndexCheck check_;
};

}  // namespace ckp

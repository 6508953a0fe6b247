// Runs by the value of one key, with sums of others.
#pragma once

#include <string>
#include <vector>

#include "ckp/search.h"
#include "json.h"

namespace ckp::tool {

// What to search for: the key to group by, then those to add up.
std::vector<Key> group_columns(const std::string& group_by, const std::vector<std::string>& sums);

class RunGroups {
 public:
  // `columns` are those of the search that found `runs`.
  RunGroups(const std::vector<Key>& columns, const std::vector<FoundRun>& runs);
  Json json() const;
  std::string text() const;

 private:
  struct Group {
    Value value;
    std::uint64_t runs = 0;
    std::vector<Value> sums;  // null where no run has a number
  };
  const std::vector<Key>& columns_;
  std::vector<Group> groups_;  // as their first runs came, the runs without a value last
};

}  // namespace ckp::tool

// How a run that saves follows the policy that the store keeps: before a save it asks whether there
// is one, and afterwards applies it to the run.
#pragma once

#include <optional>
#include <string>

#include "ckp/file_system.h"
#include "ckp/uuid.h"
#include "store/store_core.h"

namespace ckp {

// One thread at a time. Nothing that goes wrong here fails a save: none of it throws.
class PolicyFollower {
 public:
  // Both outlive it.
  PolicyFollower(StoreCore& core, const RunRecord& run) : core_(core), run_(run) {}

  // Before a save: whether a policy decides about the run, as the marks are now; true also when
  // that is unknown. Reads them only when the file has changed.
  bool is_followed() noexcept;
  // It has been committed, and is one after which the policy is to be applied.
  void saved() noexcept { is_due_ = is_followed_; }
  // Touches no file unless there was one to follow.
  void apply_if_due() noexcept;
  // Why it could not be applied the last time; empty when it was.
  const std::string& problem() const { return problem_; }

 private:
  bool look();

  StoreCore& core_;
  const RunRecord& run_;
  std::optional<FileStatus> seen_;  // the marks that `says_so_` is about
  bool says_so_ = false;
  bool is_followed_ = false;
  bool is_due_ = false;
  std::string problem_;
};

}  // namespace ckp

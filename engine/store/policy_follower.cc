#include "store/policy_follower.h"

#include <exception>
#include <utility>

#include "retention/prune.h"
#include "retention/stored_policy.h"

namespace ckp {
namespace {

// The marks are never changed in place.
bool is_same_file(const FileStatus& a, const FileStatus& b) {
  return a.device == b.device && a.inode == b.inode && a.size == b.size &&
         a.changed_ns == b.changed_ns;
}

}  // namespace

bool PolicyFollower::look() {
  const auto now = core_.fs().status(core_.layout().marks());
  if (!now) return false;
  if (!seen_ || !is_same_file(*seen_, *now)) {
    says_so_ = policies_of(read_marks(core_)).of(run_.id) != nullptr;
    seen_ = now;
  }
  return says_so_;
}

bool PolicyFollower::is_followed() noexcept {
  try {
    is_followed_ = look();
  } catch (...) {
    is_followed_ = true;
  }
  return is_followed_;
}

void PolicyFollower::apply_if_due() noexcept {
  if (!std::exchange(is_due_, false)) return;
  try {
    problem_.clear();
    if (!look()) return;
    const std::string run = run_.id.hex();
    prune(core_, nullptr, std::span(&run, 1), {});
  } catch (const std::exception& error) {
    try {
      problem_ = error.what();
    } catch (...) {  // no memory for it
    }
  } catch (...) {
  }
}

}  // namespace ckp

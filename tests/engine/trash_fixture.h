// A store whose clock stands, and what is in its trash.
#pragma once

#include "ckp/trash.h"
#include "rewrite_fixture.h"
#include "store/identity.h"
#include "support/set_clock.h"

namespace ckp::test {

class TrashTest : public RewriteTest {
 protected:
  static constexpr std::int64_t second_ns = 1'000'000'000, hour_ns = 3600 * second_ns;

  TrashTest() {
    clock_->now = std::int64_t{1'800'000'000} * second_ns;
    options_.clock = clock_;
  }
  static PruneOptions for_hours(std::int64_t hours) { return {.trash_ns = hours * hour_ns}; }
  static Uuid only_id(const Store& store) {
    const auto trash = store.trash();
    EXPECT_EQ(trash.size(), 1u);
    return trash.empty() ? Uuid{} : trash[0].checkpoint.id;
  }
  static std::vector<CheckpointRecord> undelete(Store& store, const Uuid& id) {
    return store.undelete({&id, 1});
  }
  bool has_feature() const {
    const auto identity = identity_now(*posix_file_system(), StoreLayout{path()});
    return (identity.features.refuse & format::feature::trash) != 0;
  }
  static std::vector<CheckpointRecord> list(const Store& store) {
    return store.checkpoints(store.run("cnn").id);
  }
  std::filesystem::path trashed_file() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path() / "runs")) {
      if (entry.path().filename().string().find(".trash-") != std::string::npos)
        return entry.path();
    }
    return {};
  }
  std::shared_ptr<SetClock> clock_ = std::make_shared<SetClock>();
  StoreOptions options_;
};

}  // namespace ckp::test

// What a run does whose checkpoints a repair could save in part only.
#include "repair_fixture.h"

namespace ckp {
namespace {

using test::expect_error;
using test::RepairTest;

class ResumeAfterRepairTest : public RepairTest {
 protected:
  // Each epoch loses its large chunk, of which there is no second copy.
  void damage_all() {
    Store::open(path()).remove_run("twin");
    for (const int epoch : {1, 2, 4}) flip_payload(packs_[epoch]);
  }
};

TEST_F(ResumeAfterRepairTest, ARunOfSalvagedCheckpointsDoesNotStartAfresh) {
  damage_all();
  repair(path());
  Store store = Store::open(path());
  const auto all = store.checkpoints(store.run("cnn").id);
  ASSERT_EQ(all.size(), 4u);
  expect_error(ErrorCode::corrupt, "in part only", [&] { store.resume_run("cnn"); });
  // It can be continued by name, and then it goes on by itself.
  const Address newest = parse_address("cnn@" + all.back().id.hex());
  {
    ckp::Run run = store.resume_run("cnn", newest);
    EXPECT_EQ(run.continued_from()->record().id, all.back().id);
    SaveOptions options;
    options.epoch = 5;
    run.save(state(5).dict(), options).wait();
  }
  EXPECT_EQ(store.resume_run("cnn").continued_from()->record().epoch, 5);
}

}  // namespace
}  // namespace ckp

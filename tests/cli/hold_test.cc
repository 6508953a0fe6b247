// hold: deletions wait until the command has ended, and a copy made meanwhile is sound.
#include "cli/fixture.h"

namespace ckp::test {
namespace {

class HoldTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    make_run(made, "cnn", 4);
  }
  Result hold(std::vector<std::string> command) const {
    command.insert(command.begin(), {"hold", "store", "--"});
    return ckptool(command);
  }
  Result hold_and_run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), CKP_BIN_DIR "/ckptool");
    return hold(arguments);
  }
};

TEST_F(HoldTest, NothingIsDeletedMeanwhile) {
  for (const auto& deletion : {std::vector<std::string>{"prune", "store", "--keep-last=1"},
                               std::vector<std::string>{"rm", "store", "cnn@1", "--yes"}}) {
    const Result refused = hold_and_run(deletion);
    EXPECT_EQ(refused.code, 11) << refused;
    EXPECT_TRUE(contains(refused.err, "holds the store, for a backup perhaps")) << refused;
    EXPECT_TRUE(contains(refused.err, "nothing was deleted")) << refused;
  }
  EXPECT_EQ(ckptool({"ls", "store", "--json"}).json()["checkpoints"].size(), 4u);
  EXPECT_EQ(ckptool({"rm", "store", "cnn@1", "--yes", "--trash=1h"}).code, 0);
  const Result refused = hold_and_run({"undelete", "store", "--all"});
  EXPECT_EQ(refused.code, 11) << refused;
  EXPECT_TRUE(contains(refused.err, "nothing was brought back")) << refused;
  EXPECT_EQ(ckptool({"prune", "store", "--keep-last=1"}).code, 0);
  EXPECT_EQ(ckptool({"ls", "store", "--json"}).json()["checkpoints"].size(), 1u);
}

TEST_F(HoldTest, SeveralMayHoldAtOnce) {
  const Result twice = hold_and_run({"hold", "store", "--", "echo", "both"});
  EXPECT_EQ(twice.code, 0) << twice;
  EXPECT_EQ(twice.out, "both\n");
}

TEST_F(HoldTest, ACopyMadeMeanwhileIsAStore) {
  const Result copied = hold({"cp", "-a", "store", "copy"});
  EXPECT_EQ(copied.code, 0) << copied;
  EXPECT_EQ(ckptool({"verify", "copy"}).code, 0);
  EXPECT_EQ(ckptool({"ls", "copy", "--json"}).json()["checkpoints"],
            ckptool({"ls", "store", "--json"}).json()["checkpoints"]);
}

TEST_F(HoldTest, TheExitStatusIsTheCommands) {
  EXPECT_EQ(hold({"sh", "-c", "exit 7"}).code, 7);
  EXPECT_EQ(hold({"sh", "-c", "kill -9 $$"}).code, 137);
  const Result missing = hold({"./no-such-command"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_TRUE(contains(missing.err, "cannot run ./no-such-command: No such file")) << missing;
  const Result none = hold({});
  EXPECT_EQ(none.code, 2);
  EXPECT_TRUE(contains(none.err, "COMMAND")) << none;
  EXPECT_EQ(ckptool({"hold", "./elsewhere", "--", "true"}).code, 10);
}

}  // namespace
}  // namespace ckp::test

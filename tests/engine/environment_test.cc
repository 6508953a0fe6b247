// What a program finds out about where it runs and from what, also where git is dirty, absent or
// hangs.
#include "ckp/environment.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "environment/git_state.h"
#include "support/program.h"
#include "support/temporary_directory.h"
#include "support/variable.h"

namespace ckp {
namespace {

using test::TemporaryDirectory;
using test::Variable;

std::string text_in(const Value::Map& facts, const char* key) {
  const auto found = facts.find(key);
  return found == facts.end() || found->second.get_if<std::string>() == nullptr
             ? ""
             : found->second.as_string();
}

std::string bytes_in(const Value::Map& facts, std::string_view key) {
  const Value::Bytes& bytes = facts.at(std::string(key)).as_bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_plain(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// A work tree with one commit, and nothing of the user's configuration.
class EnvironmentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    git({"init", "--quiet", "--initial-branch=trunk"});
    write_plain(tree() / "train.cc", "int main() {}\n");
    git({"add", "train.cc"});
    git({"commit", "--quiet", "-m", "first"});
  }
  void git(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(),
                     {"git", "-C", tree().string(), "-c", "user.name=t", "-c", "user.email=t@t"});
    const test::ProgramResult result = test::run_program(arguments);
    ASSERT_EQ(result.status, 0) << result;
  }
  std::filesystem::path tree() const { return directory_.path(); }
  CaptureOptions options() const { return {.source = tree()}; }
  // A program called git that is found first.
  void fake_git(const std::string& script) {
    std::filesystem::create_directory(bin_ / "bin");
    write_plain(bin_ / "bin/git", "#!/bin/sh\n" + script);
    std::filesystem::permissions(bin_ / "bin/git", std::filesystem::perms::owner_all);
    path_.emplace("PATH", (bin_ / "bin").string() + ":" + std::getenv("PATH"));
  }

  TemporaryDirectory directory_, bin_;
  Variable home_{"HOME", directory_.path().string()}, no_system_{"GIT_CONFIG_NOSYSTEM", "1"};
  Variable no_git_dir_{"GIT_DIR", std::nullopt};
  std::optional<Variable> path_;
};

TEST_F(EnvironmentTest, TellsWhereAProgramRuns) {
  const Value::Map facts = capture_environment({}, options());
  for (const char* key : {"library", "compiler", "kernel", "host", "user", "command_line",
                          "directory", "git_commit", "git_branch"}) {
    EXPECT_NE(text_in(facts, key), "") << key;
  }
  EXPECT_GE(facts.at("cores").as_int(), 1);
  EXPECT_GT(facts.at("memory").as_int(), 1 << 20);
  EXPECT_EQ(text_in(facts, "library").rfind("ckpstore ", 0), 0u);
  EXPECT_NE(text_in(facts, "command_line").find("ckp_engine_tests"), std::string::npos);
}

TEST_F(EnvironmentTest, KeysOfTheUserWin) {
  const Value::Map facts =
      capture_environment({{"host", "mine"}, {"team", "ranking"}, {"git_commit", 7}}, options());
  EXPECT_EQ(text_in(facts, "host"), "mine");
  EXPECT_EQ(text_in(facts, "team"), "ranking");
  EXPECT_EQ(facts.at("git_commit"), Value(7));
}

TEST_F(EnvironmentTest, ACleanWorkTreeHasACommitAndNoDiff) {
  const Value::Map facts = git_state(options());
  EXPECT_EQ(text_in(facts, "git_commit").size(), 40u);
  EXPECT_EQ(text_in(facts, "git_branch"), "trunk");
  EXPECT_EQ(facts.at("git_dirty"), Value(false));
  EXPECT_EQ(facts.size(), 3u);
  write_plain(tree() / "untracked", "not of the source");
  EXPECT_EQ(git_state(options()), facts);
}

TEST_F(EnvironmentTest, ADirtyOneHasItsDiff) {
  write_plain(tree() / "train.cc", "int main() { return 1; }\n");
  const Value::Map facts = git_state({.source = tree() / "."});
  EXPECT_EQ(facts.at("git_dirty"), Value(true));
  const std::string diff = bytes_in(facts, git_diff_key);
  EXPECT_NE(diff.find("+int main() { return 1; }\n"), std::string::npos) << diff;
  EXPECT_EQ(facts.at("git_diff_bytes"), Value(diff.size()));
  EXPECT_FALSE(facts.contains("git_diff_cut"));
}

TEST_F(EnvironmentTest, StagedChangesAreDirtyToo) {
  write_plain(tree() / "new.cc", "int f();\n");
  git({"add", "new.cc"});
  const Value::Map facts = git_state(options());
  EXPECT_EQ(facts.at("git_dirty"), Value(true));
  EXPECT_NE(bytes_in(facts, git_diff_key).find("+int f();"), std::string::npos);
}

TEST_F(EnvironmentTest, ALargeDiffIsCutAndSaysSo) {
  write_plain(tree() / "train.cc", std::string(100'000, 'x') + "\n");
  const Value::Map facts = git_state({.source = tree(), .max_diff = 1000});
  EXPECT_EQ(bytes_in(facts, git_diff_key).size(), 1000u);
  EXPECT_EQ(facts.at("git_diff_cut"), Value(1000));
  EXPECT_GT(facts.at("git_diff_bytes").as_int(), 100'000);
}

TEST_F(EnvironmentTest, NothingOfTheRepositoryRuns) {
  const std::string trap = (bin_ / "ran").string();
  write_plain(bin_ / "hook", "#!/bin/sh\ntouch " + trap + "\n");
  std::filesystem::permissions(bin_ / "hook", std::filesystem::perms::owner_all);
  git({"config", "core.fsmonitor", (bin_ / "hook").string()});
  git({"config", "diff.external", (bin_ / "hook").string()});
  std::filesystem::remove(trap);  // the configuring calls may have run it
  write_plain(tree() / "train.cc", "changed\n");
  EXPECT_EQ(git_state(options()).at("git_dirty"), Value(true));
  EXPECT_FALSE(std::filesystem::exists(trap));
}

TEST_F(EnvironmentTest, DetachedAndUnbornHeads) {
  git({"checkout", "--quiet", "--detach"});
  EXPECT_FALSE(git_state(options()).contains("git_branch"));
  std::filesystem::remove_all(tree() / ".git");
  git({"init", "--quiet", "--initial-branch=trunk"});
  git({"add", "train.cc"});
  const Value::Map unborn = git_state(options());
  EXPECT_FALSE(unborn.contains("git_commit"));
  EXPECT_EQ(unborn.at("git_dirty"), Value(true));
  EXPECT_EQ(text_in(unborn, "git_branch"), "trunk");
}

TEST_F(EnvironmentTest, OutsideOfAWorkTreeGitIsNotStarted) {
  const TemporaryDirectory elsewhere;
  fake_git("touch " + (bin_ / "ran").string() + "\n");
  EXPECT_EQ(git_state({.source = elsewhere.path()}), Value::Map{});
  EXPECT_FALSE(std::filesystem::exists(bin_ / "ran"));
}

TEST_F(EnvironmentTest, WithoutGitThatIsSaid) {
  const Variable no_path("PATH", (bin_ / "empty").string());
  const Value::Map facts = capture_environment({}, options());
  EXPECT_EQ(text_in(facts, "git_error").rfind("git status could not be started: ", 0), 0u)
      << text_in(facts, "git_error");
  EXPECT_FALSE(facts.contains("git_commit"));
  EXPECT_TRUE(facts.contains("host"));
}

TEST_F(EnvironmentTest, AGitThatFailsIsQuoted) {
  fake_git("echo 'fatal: dubious ownership' >&2\nexit 128\n");
  EXPECT_EQ(text_in(git_state(options()), "git_error"),
            "git status ended with status 128: fatal: dubious ownership");
}

// It holds its output open, ignores what can be ignored, and has a child that does the same.
TEST_F(EnvironmentTest, AGitThatHangsIsEnded) {
  const std::string pid_file = (bin_ / "pid").string();
  fake_git("trap '' TERM INT HUP PIPE\nsleep 1000 &\necho $! > " + pid_file + ".new\nmv " +
           pid_file + ".new " + pid_file + "\nwait\n");
  CaptureOptions hurry = options();
  hurry.git_timeout = std::chrono::milliseconds(1500);
  const Value::Map facts = git_state(hurry);
  EXPECT_EQ(text_in(facts, "git_error"), "git status gave no answer in time (1500 ms)");
  std::ifstream file(pid_file);
  int child = 0;
  if (!(file >> child)) return;  // the machine was too slow to start it
  // Its parent is dead, too: whoever takes it over removes it.
  while (::kill(child, 0) == 0) {
    std::ifstream state("/proc/" + std::to_string(child) + "/stat");
    std::string line;
    std::getline(state, line);
    if (line.find(") Z ") != std::string::npos) break;
  }
}

TEST_F(EnvironmentTest, AnIgnoredSigchldIsNoError) {
  struct sigaction ignore {
  }, old{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGCHLD, &ignore, &old);
  const Value::Map facts = git_state(options());
  ::sigaction(SIGCHLD, &old, nullptr);
  EXPECT_EQ(text_in(facts, "git_commit").size(), 40u);
}

TEST_F(EnvironmentTest, SlurmJobs) {
  const Variable job("SLURM_JOB_ID", "77");
  {
    const Variable none("SLURM_ARRAY_JOB_ID", std::nullopt);
    EXPECT_EQ(text_in(capture_environment({}, options()), "slurm_job"), "77");
  }
  const Variable array("SLURM_ARRAY_JOB_ID", "70"), task("SLURM_ARRAY_TASK_ID", "7");
  EXPECT_EQ(text_in(capture_environment({}, options()), "slurm_job"), "70_7");
}

TEST(AsUtf8, WhatIsNoneIsReplaced) {
  EXPECT_EQ(as_utf8("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(as_utf8("a\xff"
                    "b"),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(as_utf8("\xc3"), "\xef\xbf\xbd");
}

}  // namespace
}  // namespace ckp

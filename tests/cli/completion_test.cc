// Completion: what bash makes of the script, and what the one for zsh holds.
#include "cli/fixture.h"
#include "support/program.h"

namespace ckp::test {
namespace {

class CompletionTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    const auto saved = make_run(made, "cnn-lr3", 1);
    made.create_run({.name = "a b"});
    made.promote(saved[0], "production");
    const Result script = ckptool({"completion", "bash"});
    ASSERT_EQ(script.code, 0) << script;
    write_bytes(root() / "script", script.out);
  }

  // What bash offers when the cursor is at the end of the last word, one a line.
  std::string completed(const std::vector<std::string>& words) const {
    std::string array;
    for (const std::string& word : words) array += " '" + word + "'";
    const std::string program = std::string(CKP_BIN_DIR) + "/ckptool";
    const ProgramResult result =
        run_program({"bash", "-c",
                     "cd " + root().string() + " && source ./script && COMP_WORDS=(" + program +
                         array + ") COMP_CWORD=" + std::to_string(words.size()) +
                         " && _ckptool && printf '%s\n' \"${COMPREPLY[@]}\""});
    EXPECT_EQ(result.status, 0) << result;
    EXPECT_EQ(result.err, "");
    return result.out;
  }
};

TEST_F(CompletionTest, CommandsOptionsAndNames) {
  EXPECT_EQ(completed({"rep"}), "report\nrepair\n");
  EXPECT_EQ(completed({"ls", "store", "--ord"}), "--order-by\n");
  EXPECT_EQ(completed({"ls", "store", "cn"}), "cnn-lr3\n");
  EXPECT_EQ(completed({"show", "--json", "store", "a"}), "a\\ b\n");
  EXPECT_EQ(completed({"show", "--store", "store", ""}), "cnn-lr3\na\\ b\n@production\n");
  EXPECT_EQ(completed({"ls", "sto"}), "store\n");
  EXPECT_EQ(completed({"policy", "store", "--keep-d"}), "--keep-daily\n");
  EXPECT_EQ(completed({"policy", "store", "--run", "cn"}), "cnn-lr3\n");
  EXPECT_EQ(completed({"completion", ""}), "bash\nzsh\n");
}

// Bash takes the @ for a word of its own, unless COMP_WORDBREAKS lacks it.
TEST_F(CompletionTest, Aliases) {
  EXPECT_EQ(completed({"show", "store", "@", "pro"}), "production\n");
  EXPECT_EQ(completed({"show", "store", "@"}), "production\n");
  EXPECT_EQ(completed({"show", "store", "@pro"}), "@production\n");
}

TEST_F(CompletionTest, IsQuietWhereThereIsNoStore) {
  EXPECT_EQ(completed({"ls", "nowhere", "x"}), "\n");
  EXPECT_EQ(completed({"ls", "store", "--where", "x"}), "\n") << "a value";
  EXPECT_EQ(completed({"frobnicate", "x"}), "\n");
}

TEST_F(CompletionTest, TheScriptForZshIsWellFormed) {
  const Result script = ckptool({"completion", "zsh"});
  ASSERT_EQ(script.code, 0) << script;
  EXPECT_EQ(script.out.rfind("#compdef ckptool\n", 0), 0u);
  for (const std::string word :
       {"      'ls:List checkpoints'\n", "--order-by", "_describe command commands"}) {
    EXPECT_TRUE(contains(script.out, word)) << word;
  }
  EXPECT_EQ(script.out.find('@' + std::string("OPTIONS")), std::string::npos) << script;
  write_bytes(root() / "_ckptool", script.out);
  if (run_program({"zsh", "--version"}).status == 127) {
    const auto count = [&](const std::string& word) {
      std::size_t found = 0;
      for (auto at = script.out.find(word); at != std::string::npos;
           at = script.out.find(word, at + 1)) {
        ++found;
      }
      return found;
    };
    EXPECT_EQ(count("case $command in\n"), count("esac\n"));
    EXPECT_EQ(count("; do\n"), count("done\n"));
    EXPECT_EQ(count("\n  if ") + count("\nif "), count("\n  fi\n") + count("\nfi\n"));
    return;
  }
  const ProgramResult checked = run_program({"zsh", "-n", (root() / "_ckptool").string()});
  EXPECT_EQ(checked.status, 0) << checked;
}

TEST_F(CompletionTest, OtherShellsAreRefused) {
  expect_error({"completion", "fish"}, 2, "usage", {"fish", "bash or zsh"});
  expect_error({"completion"}, 2, "usage", {"SHELL is missing"});
}

}  // namespace
}  // namespace ckp::test

// Help, the manual page, and command lines that make no sense.
#include "cli/fixture.h"

namespace ckp::test {
namespace {

const std::vector<std::string> commands{
    "init",       "runs",     "ls",     "show",          "best",   "params",  "diff",
    "metrics",    "tail",     "export", "drift",         "bisect", "stats",   "report",
    "hold",       "verify",   "repair", "prune",         "rm",     "promote", "aliases",
    "convert",    "import",   "digest", "rebuild-index", "tag",    "metric",  "note",
    "completion", "undelete", "policy", "artifacts",     "extract"};

using HelpTest = CliTest;

TEST_F(HelpTest, EveryCommandShowsAnExampleOfItself) {
  for (const std::string& command : commands) {
    const Result result = ckptool({command, "--help"});
    EXPECT_EQ(result.code, 0) << command << result;
    EXPECT_NE(result.out.find("Example:\n  ckptool " + command), std::string::npos) << result;
    EXPECT_NE(result.out.find("--json"), std::string::npos) << result;
    EXPECT_EQ(result.err, "");
  }
}

TEST_F(HelpTest, TheProgramListsItsCommands) {
  const Result result = ckptool({"--help"});
  EXPECT_EQ(result.code, 0);
  for (const std::string& command : commands) {
    EXPECT_NE(result.out.find("\n  " + command + " "), std::string::npos) << command << result;
  }
  EXPECT_EQ(result.out.find("--man"), std::string::npos) << "hidden";
}

TEST_F(HelpTest, TheManualPageSaysTheSameAsHelp) {
  const Result page = ckptool({"--man"});
  EXPECT_EQ(page.code, 0);
  EXPECT_NE(page.out.find(".TH CKPTOOL 1"), std::string::npos);
  EXPECT_NE(page.out.find(".SH EXIT STATUS"), std::string::npos);
  EXPECT_NE(page.out.find("ckptool prune ./store"), std::string::npos);
  EXPECT_NE(page.out.find("\\-\\-keep\\-best"), std::string::npos);
  for (const std::string& command : commands) {
    std::string name;
    for (const char c : command) name += c == '-' ? std::string("\\-") : std::string(1, c);
    EXPECT_NE(page.out.find("\n.SS " + name), std::string::npos) << command;
  }
}

TEST_F(HelpTest, Version) {
  const Result result = ckptool({"--version"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out.rfind("ckptool ", 0), 0u) << result;
}

TEST_F(HelpTest, BadCommandLinesExitWith2AndSayWhereHelpIs) {
  expect_error({}, 2, "usage", {"command", "ckptool --help"});
  expect_error({"frobnicate"}, 2, "usage", {"frobnicate"});
  expect_error({"ls", "--frobnicate"}, 2, "usage", {"--frobnicate", "ckptool ls --help"});
  expect_error({"init"}, 2, "usage", {"STORE is missing"});
  expect_error({"init", "a", "b"}, 2, "usage", {"b"});
  expect_error({"verify", "--structure", "--full"}, 2, "usage", {"--structure", "--full"});
}

TEST_F(HelpTest, MissingArgumentsAreNamed) {
  Store::create(store());
  expect_error({"show", store().string()}, 2, "usage", {"ADDRESS is missing"});
  expect_error({"best", store().string()}, 2, "usage", {"RUN is missing"});
  expect_error({"rm", store().string()}, 2, "usage", {"--run"});
  expect_error({"runs", store().string(), "x"}, 2, "usage", {"x"});
}

}  // namespace
}  // namespace ckp::test

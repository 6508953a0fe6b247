// report: the page, what is escaped in it, and where it is written.
#include <cmath>
#include <limits>
#include <regex>

#include "cli/fixture.h"

namespace ckp::test {
namespace {

class ReportTest : public CliTest {
 protected:
  std::string page() const { return read_bytes(root() / "report.html"); }
  static nlohmann::json data_of(const std::string& page) {
    const std::string begin = "<script type=\"application/json\" id=\"data\">";
    const std::size_t from = page.find(begin);
    EXPECT_NE(from, std::string::npos);
    const std::size_t to = page.find("</script>", from);
    return nlohmann::json::parse(page.substr(from + begin.size(), to - from - begin.size()));
  }
  // The data of the report of the store.
  nlohmann::json report() const {
    const Result result = ckptool({"report", "store"});
    EXPECT_EQ(result.code, 0) << result;
    return data_of(page());
  }
  std::filesystem::path file_of(const std::string& part) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(store() / "runs")) {
      if (contains(entry.path().filename().string(), part)) return entry.path();
    }
    return {};
  }
};

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    ++found;
  }
  return found;
}

TEST_F(ReportTest, TellsRunsCheckpointsSeriesStorageAndAliases) {
  {
    Store made = Store::create(store());
    make_run(made, "cnn", 4);
    const auto saved = make_run(made, "wide", 1, RunStatus::failed);
    made.promote(saved[0], "production", {.note = "first"});
    ckp::Run run = made.create_run({.name = "logs", .tags = {{"team", "vision"}}});
    for (int step = 1; step <= 3; ++step) run.log(0, step, {{"loss", 1.0 / step}});
  }
  const Result result = ckptool({"report", "store"});
  EXPECT_EQ(result.code, 0) << result;
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(contains(result.out, "wrote report.html: 3 runs, 5 checkpoints, ")) << result;
  const nlohmann::json data = data_of(page());
  EXPECT_EQ(data["store"], "store");
  EXPECT_EQ(data["version"],
            nlohmann::json::parse("\"" + ckptool({"--version"}).out.substr(8, 5) + "\""));
  ASSERT_EQ(data["runs"].size(), 3u);
  const nlohmann::json& cnn = data["runs"][0];
  EXPECT_EQ(cnn["name"], "cnn");
  EXPECT_EQ(cnn["status"], "completed");
  EXPECT_EQ(cnn["best"]["epoch"], 3);
  EXPECT_EQ(cnn["best"]["value"], 0.25);
  EXPECT_EQ(cnn["parameters"], nlohmann::json::parse(R"([["lr", "0.001"]])"));
  EXPECT_EQ(cnn["directions"]["val/loss"], "min");
  ASSERT_EQ(cnn["checkpoints"].size(), 4u);
  EXPECT_EQ(cnn["checkpoints"][2]["flags"], nlohmann::json::parse(R"(["best"])"));
  EXPECT_EQ(data["runs"][1]["status"], "failed");
  EXPECT_EQ(data["runs"][1]["checkpoints"][0]["aliases"],
            nlohmann::json::parse(R"(["production"])"));
  const nlohmann::json& logs = data["runs"][2];
  EXPECT_EQ(logs["tags"], nlohmann::json::parse(R"([["team", "vision"]])"));
  EXPECT_EQ(logs["series"][0]["name"], "loss");
  EXPECT_EQ(logs["series"][0]["step"], nlohmann::json::parse("[1, 2, 3]"));
  EXPECT_EQ(logs["series"][0]["value"], nlohmann::json::parse("[1.0, 0.5, 0.333333333]"));
  EXPECT_EQ(data["storage"]["needed"]["checkpoints"], 5);
  EXPECT_EQ(data["storage"]["runs"].size(), 3u);
  EXPECT_EQ(data["aliases"]["current"][0]["alias"], "production");
  EXPECT_EQ(data["aliases"]["history"][0]["note"], "first");
  EXPECT_EQ(data["unread"].size(), 0u);
}

TEST_F(ReportTest, JsonSaysWhatWasWritten) {
  Store made = Store::create(store());
  make_run(made, "cnn", 2);
  const nlohmann::json json = ckptool({"report", "store", "-o", "sweep.html", "--json"}).json();
  EXPECT_EQ(json["file"], "sweep.html");
  EXPECT_EQ(json["bytes"], std::filesystem::file_size(root() / "sweep.html"));
  EXPECT_EQ(json["runs"], 1);
  EXPECT_EQ(json["checkpoints"], 2);
  EXPECT_EQ(json["unread"].size(), 0u);
  EXPECT_EQ(ckptool({"report", "store", "-o", "sweep.html", "--quiet"}).out, "");
}

TEST_F(ReportTest, LoadsNothing) {
  Store made = Store::create(store());
  make_run(made, "cnn", 1);
  report();
  const std::string html = page();
  EXPECT_TRUE(contains(html, "default-src 'none'"));
  EXPECT_FALSE(std::regex_search(html.substr(0, html.find("<script")),
                                 std::regex("src *=|<link|@import|url\\(")));
  EXPECT_TRUE(contains(html, "Chart.js")) << "and its license:";
  EXPECT_TRUE(contains(html, "THE SOFTWARE IS PROVIDED"));
}

TEST_F(ReportTest, TextOfUsersIsEscaped) {
  const std::string evil = "<script>alert(1)</script>";
  const std::string odd = "\"odd\" </script><!-- \u2028 \u2029 '&amp;";
  {
    Store made = Store::create(store());
    RunOptions options;
    options.name = evil;
    options.parameters = {{odd, odd}};
    options.tags = {{odd, odd}};
    ckp::Run run = made.create_run(options);
    run.log(0, 1, {{odd, 1.0}});
    const auto saved = save_epochs(run, 1, 1);
    made.promote(saved[0], "production", {.note = odd});
  }
  const nlohmann::json data = report();
  EXPECT_EQ(data["runs"][0]["name"], evil);
  EXPECT_EQ(data["runs"][0]["parameters"][0][0], odd);
  EXPECT_EQ(data["runs"][0]["tags"][0][1], odd);
  EXPECT_EQ(data["runs"][0]["series"][0]["name"], odd);
  EXPECT_EQ(data["aliases"]["history"][0]["note"], odd);
  const std::string html = page();
  EXPECT_FALSE(contains(html, evil));
  EXPECT_FALSE(contains(html, "<!-- "));
  EXPECT_EQ(count(html, "</script>"), 3u) << "those of page.html";
  EXPECT_FALSE(contains(html, "\u2028") || contains(html, "\u2029"));
}

TEST_F(ReportTest, ScriptsMakeNoHtmlOfText) {
  for (const auto& entry :
       std::filesystem::directory_iterator(CKP_SOURCE_DIR "/tools/ckptool/report")) {
    if (entry.path().extension() != ".js") continue;
    const std::string script = read_bytes(entry.path());
    for (const char* word :
         {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("}) {
      EXPECT_FALSE(contains(script, word)) << entry.path() << ": " << word;
    }
  }
}

TEST_F(ReportTest, TwoReportsDifferInNothingButTheTime) {
  Store made = Store::create(store());
  make_run(made, "cnn", 2);
  make_run(made, "wide", 2);
  const auto without_time = [&] {
    return std::regex_replace(page(), std::regex("\"made\":[0-9]+"), "");
  };
  report();
  const std::string first = without_time();
  report();
  EXPECT_TRUE(first == without_time());
}

TEST_F(ReportTest, NanAndInfinityAreKept) {
  {
    Store made = Store::create(store());
    ckp::Run run = made.create_run({.name = "cnn"});
    const double inf = std::numeric_limits<double>::infinity();
    for (const double value : {0.5, std::nan(""), inf, -inf}) run.log(0, 1, {{"loss", value}});
  }
  EXPECT_EQ(report()["runs"][0]["series"][0]["value"],
            nlohmann::json::parse(R"([0.5, "NaN", "Infinity", "-Infinity"])"));
}

TEST_F(ReportTest, LongSeriesKeepTheirPeaks) {
  constexpr int points = 20'000;
  {
    Store made = Store::create(store());
    ckp::Run run = made.create_run({.name = "cnn"});
    for (int step = 1; step <= points; ++step) {
      double value = std::sin(step * 0.01);
      if (step == 7777) value = 100;
      if (step == 7778) value = -100;
      if (step == 12345) value = std::nan("");
      run.log(0, step, {{"loss", value}});
    }
  }
  const Result text = ckptool({"report", "store"});
  EXPECT_TRUE(contains(text.out, " of 20,000 metric points")) << text;
  const nlohmann::json series = data_of(page())["runs"][0]["series"][0];
  EXPECT_EQ(series["logged"], points);
  EXPECT_EQ(series["shown"], series["step"].size());
  EXPECT_LT(series["step"].size(), 3'100u);
  EXPECT_GT(series["step"].size(), 1'500u);
  const auto value_at = [&](int step) {
    const auto at = std::find(series["step"].begin(), series["step"].end(), step);
    return at == series["step"].end()
               ? nlohmann::json()
               : series["value"][static_cast<std::size_t>(at - series["step"].begin())];
  };
  EXPECT_EQ(value_at(7777), 100);
  EXPECT_EQ(value_at(7778), -100);
  EXPECT_EQ(value_at(12345), "NaN");
  EXPECT_FALSE(value_at(1).is_null());
  EXPECT_FALSE(value_at(points).is_null());
}

TEST_F(ReportTest, WhatWasLeftBehindStandsApart) {
  {
    Store made = Store::create(store());
    {
      ckp::Run run = made.create_run({.name = "cnn"});
      save_epochs(run, 1, 1);
      for (int step = 11; step <= 13; ++step) run.log(1, step, {{"loss", 1.0}});
    }
    ckp::Run run = made.resume_run("cnn");
    run.log(1, 12, {{"loss", 2.0}});
  }
  const nlohmann::json data = report();
  const nlohmann::json& series = data["runs"][0]["series"][0];
  EXPECT_EQ(series["step"], nlohmann::json::parse("[12]"));
  EXPECT_EQ(series["superseded"]["step"], nlohmann::json::parse("[11, 12, 13]"));
  const nlohmann::json& resumed = data["runs"][0]["attempts"][1];
  EXPECT_EQ(resumed["from"]["gone"], false);
  EXPECT_EQ(resumed["first"]["step"], 12);
}

TEST_F(ReportTest, AnEmptyStoreHasAPage) {
  Store::create(store());
  EXPECT_EQ(report()["runs"].size(), 0u);
  EXPECT_TRUE(contains(page(), "No runs yet"));
}

TEST_F(ReportTest, DamageIsNamedAndTheRestIsThere) {
  {
    Store made = Store::create(store());
    make_run(made, "cnn", 2);
    make_run(made, "wide", 1);
  }
  const auto pack = file_of("-000000010-");
  std::filesystem::resize_file(pack, 200);
  const Result result = ckptool({"report", "store"});
  EXPECT_EQ(result.code, 0) << result;
  EXPECT_TRUE(contains(result.err, pack.filename().string())) << result;
  EXPECT_TRUE(contains(result.err, "; run: ckptool verify store\n")) << result;
  const nlohmann::json data = data_of(page());
  EXPECT_EQ(data["runs"].size(), 2u);
  EXPECT_GE(data["unread"].size(), 1u);
}

TEST_F(ReportTest, DamagedMarksAreNamed) {
  {
    Store made = Store::create(store());
    const auto saved = make_run(made, "cnn", 1);
    made.promote(saved[0], "production");
  }
  write_bytes(store() / "marks", "nonsense");
  const Result result = ckptool({"report", "store"});
  EXPECT_EQ(result.code, 0) << result;
  EXPECT_TRUE(contains(result.err, "aliases: ")) << result;
  EXPECT_EQ(data_of(page())["runs"].size(), 1u);
}

TEST_F(ReportTest, ReplacesAReportAndNothingElse) {
  Store::create(store());
  report();
  report();
  write_bytes(root() / "report.html", "somebody's");
  expect_error({"report", "store"}, 1, "already_exists", {"report.html", "--force"});
  EXPECT_EQ(page(), "somebody's");
  EXPECT_EQ(ckptool({"report", "store", "--force"}).code, 0);
  EXPECT_TRUE(contains(page(), "<!doctype html>"));
}

TEST_F(ReportTest, PlacesThatMakeNoSense) {
  Store::create(store());
  expect_error({"report", "store", "-o", "store/report.html"}, 2, "invalid_argument",
               {"lies inside the store"});
  expect_error({"report", "store", "-o", "."}, 2, "usage", {"is a directory"});
  expect_error({"report", "store", "-o", ""}, 2, "usage", {"--output"});
  expect_error({"report", "store", "-o", "nowhere/report.html"}, 1, "not_found", {"nowhere"});
  expect_error({"report", "store", "cnn"}, 2, "usage", {"cnn"});
  expect_error({"report", "nowhere"}, 10, "no_store", {"nowhere"});
  EXPECT_FALSE(std::filesystem::exists(root() / "report.html"));
}

}  // namespace
}  // namespace ckp::test

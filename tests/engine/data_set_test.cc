// The description of what a run trains on.
#include "ckp/data_set.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::expect_error;

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

Digest digest_of_text(const std::string& text) { return digest_of(std::as_bytes(std::span(text))); }

TEST(DataSet, AnEmptyOneRecordsNothing) {
  EXPECT_TRUE(DataSet{}.empty());
  EXPECT_EQ(DataSet{}.to_map(), Value::Map{});
}

TEST(DataSet, TheKeys) {
  DataSet data{.name = "mnist", .version = "2026-08"};
  data.splits = {{"train", 60000}, {"validation", 10000}};
  data.classes = {{"cat", 7}, {"dog", 9}};
  data.normalization = {{"mean", 0.5}, {"std", Value::List{0.1, 0.2}}};
  data.more = {{"licence", "CC0"}, {"version", "mine"}};
  EXPECT_FALSE(data.empty());
  EXPECT_EQ(data.to_map(),
            (Value::Map{{"name", "mnist"},
                        {"version", "mine"},
                        {"splits", Value::Map{{"train", 60000}, {"validation", 10000}}},
                        {"classes", Value::Map{{"cat", 7}, {"dog", 9}}},
                        {"normalization", data.normalization},
                        {"licence", "CC0"}}));
}

TEST(DataSet, FilesAreDigestedByTheirBytes) {
  const test::TemporaryDirectory directory;
  const std::string large(3'000'000, 'y');
  write_file(directory / "a/one.bin", "one");
  write_file(directory / "a/deep/two.bin", large);
  write_file(directory / "three.bin", "");
  DataSet data;
  data.add_files(directory / "a");
  data.add_files(directory / "three.bin");
  EXPECT_EQ(data.files, (std::map<std::string, Digest>{{"one.bin", digest_of_text("one")},
                                                       {"deep/two.bin", digest_of_text(large)},
                                                       {"three.bin", digest_of_text("")}}));
  const Value::Map map = data.to_map();
  EXPECT_EQ(map.at("digest"), Value(data.digest().hex()));
  EXPECT_EQ(map.at("file_count"), Value(3));
  EXPECT_EQ(map.at("files").find("one.bin")->as_string(), digest_of_text("one").hex());
  const Digest before = data.digest();
  data.files["one.bin"].low ^= 1;
  EXPECT_NE(data.digest(), before);
  data.files["one.bin"].low ^= 1;
  EXPECT_EQ(data.digest(), before);
  data.files["1.bin"] = data.files["one.bin"];
  data.files.erase("one.bin");
  EXPECT_NE(data.digest(), before) << "a file of another name";
  expect_error(ErrorCode::not_found, "nowhere", [&] { data.add_files(directory / "nowhere"); });
}

TEST(DataSet, ManyFilesAreCountedAndNotListed) {
  DataSet data;
  for (int i = 0; i <= 1000; ++i) data.files[std::to_string(i)] = {};
  const Value::Map map = data.to_map();
  EXPECT_EQ(map.at("file_count"), Value(1001));
  EXPECT_TRUE(map.contains("digest"));
  EXPECT_FALSE(map.contains("files"));
}

TEST(DataSet, NamesThatAreNoTextAreRefused) {
  DataSet data;
  data.files["\xff"] = {};
  expect_error(ErrorCode::invalid_argument, "no valid UTF-8", [&] { (void)data.to_map(); });
}

}  // namespace
}  // namespace ckp

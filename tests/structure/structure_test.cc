// The layers and rules of the tree, read from the sources themselves.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path root = CKP_SOURCE_DIR;

struct Include {
  std::string file;    // relative to the root
  std::string header;  // between the quotes or brackets
  bool quoted = false;
};

bool is_source(const fs::path& path) {
  return path.extension() == ".cc" || path.extension() == ".h";
}

std::vector<fs::path> sources_below(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
    if (entry.is_regular_file() && is_source(entry.path())) files.push_back(entry.path());
  }
  return files;
}

std::vector<Include> includes_below(const std::string& folder) {
  static const std::regex pattern(R"(^\s*#\s*include\s*(["<])([^">]+)[">])");
  std::vector<Include> includes;
  for (const fs::path& path : sources_below(folder)) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, pattern)) continue;
      includes.push_back({fs::relative(path, root).string(), match[2], match[1] == "\""});
    }
  }
  return includes;
}

bool starts_with(const std::string& text, const std::string& prefix) {
  return text.rfind(prefix, 0) == 0;
}

// Every quoted include below `folder` must be found in one of `places`, or beside its file.
void expect_includes_only(const std::string& folder, const std::vector<std::string>& places,
                          const std::string& except = "") {
  std::size_t seen = 0;
  for (const Include& include : includes_below(folder)) {
    if (!include.quoted || (!except.empty() && starts_with(include.file, except))) continue;
    ++seen;
    const auto holds = [&](const std::string& place) {
      return fs::exists(root / place / include.header);
    };
    EXPECT_TRUE(std::any_of(places.begin(), places.end(), holds))
        << include.file << " includes \"" << include.header << "\", which is not of " << folder
        << " or of a layer below it";
  }
  EXPECT_GT(seen, 0u) << "no includes found below " << folder << ": is the test looking there?";
}

std::set<std::string> files_that_include(const std::string& header) {
  std::set<std::string> files;
  for (const std::string folder : {"format", "engine", "tools"}) {
    for (const Include& include : includes_below(folder)) {
      if (include.header == header) files.insert(include.file);
    }
  }
  return files;
}

// Two types of one name are one to the linker: the functions of one are run on objects of the
// other.
TEST(Names, EachTypeOfAHeaderHasItsOwn) {
  static const std::regex space(R"(^namespace ([\w:]+) \{)");
  static const std::regex type(R"(^(?:class|struct|enum class) (\w+)(?: final)?(?: :.*)? \{)");
  std::map<std::string, std::string> homes;  // of namespace::name
  for (const std::string folder : {"format", "engine", "tools"}) {
    for (const fs::path& path : sources_below(folder)) {
      if (path.extension() != ".h") continue;
      std::ifstream file(path);
      std::string inside;
      for (std::string line; std::getline(file, line);) {
        std::smatch match;
        if (std::regex_search(line, match, space)) inside = match[1];
        if (!std::regex_search(line, match, type)) continue;
        const std::string name = inside + "::" + match[1].str();
        const auto [home, is_new] = homes.emplace(name, fs::relative(path, root).string());
        EXPECT_TRUE(is_new) << name << " is defined in " << home->second << " and in " << path;
      }
    }
  }
  EXPECT_GT(homes.size(), 200u) << "hardly any types found: is the test looking right?";
}

TEST(Layers, FormatIncludesOnlyFormat) {
  expect_includes_only("format", {"format/include", "format/src", "format/src/codec"});
}

TEST(Layers, EngineIncludesFormatAndItself) {
  expect_includes_only("engine", {"format/include", "engine/include", "engine"},
                       "engine/libtorch/");
}

TEST(Layers, AdapterUsesPublicHeadersOnly) {
  expect_includes_only("engine/libtorch", {"format/include", "engine/include",
                                           "engine/libtorch/include", "engine/libtorch/src"});
}

TEST(Layers, ToolsUsePublicHeadersOnly) {
  expect_includes_only(
      "tools", {"format/include", "engine/include", "engine/libtorch/include", "tools/ckptool",
                "tools/examples", "tools/examples/train_fashion_mnist"});
}

TEST(Layers, OnlyTheAdapterAndItsTrainersSeeTorch) {
  for (const std::string folder : {"format", "engine", "tools"}) {
    for (const Include& include : includes_below(folder)) {
      if (starts_with(include.file, "engine/libtorch/")) continue;
      if (starts_with(include.file, "tools/examples/")) continue;
      const bool is_torch = starts_with(include.header, "torch/") ||
                            starts_with(include.header, "ATen/") ||
                            starts_with(include.header, "c10/");
      EXPECT_FALSE(is_torch) << include.file << " includes " << include.header;
    }
  }
}

TEST(Layers, FormatIsPure) {
  const std::set<std::string> impure = {"filesystem", "fstream", "thread",   "mutex",
                                        "chrono",     "cstdlib", "iostream", "random"};
  for (const Include& include : includes_below("format")) {
    EXPECT_FALSE(impure.contains(include.header))
        << include.file << " includes <" << include.header << ">";
    EXPECT_FALSE(starts_with(include.header, "sys/")) << include.file;
  }
}

TEST(Dependencies, EachCLibraryIsKnownToOneSource) {
  for (const std::string header : {"lmdb.h", "zstd.h", "xxhash.h", "fcntl.h"}) {
    const auto files = files_that_include(header);
    EXPECT_EQ(files.size(), 1u) << header << " is included by " << ::testing::PrintToString(files);
  }
}

TEST(Dependencies, NoCudaHeaders) {
  for (const std::string folder : {"format", "engine", "tools", "bench", "tests"}) {
    for (const Include& include : includes_below(folder)) {
      EXPECT_EQ(include.header.find("cuda"), std::string::npos)
          << include.file << " includes " << include.header;
    }
  }
}

TEST(Tree, TopLevelHoldsWhatIsAgreed) {
  const std::set<std::string> expected = {
      "format", "engine", "tools", "bench", "tests", "spec", "CMakeLists.txt", "README.md",
      // tool files
      "CMakePresets.json", ".clang-format", ".clang-tidy", ".gitignore", ".ci", "LICENSE"};
  const std::set<std::string> ignored = {".git", "build", ".cache"};
  for (const auto& entry : fs::directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    if (ignored.contains(name)) continue;
    EXPECT_TRUE(expected.contains(name)) << name << " is not a name of the top level";
  }
}

// A test that is in no target proves nothing.
TEST(Tree, EveryFolderOfTestsIsBuilt) {
  std::ifstream file(root / "tests/CMakeLists.txt");
  const std::string cmake((std::istreambuf_iterator<char>(file)), {});
  std::set<std::string> folders;
  for (const fs::path& path : sources_below("tests")) {
    if (!path.filename().string().ends_with("_test.cc")) continue;
    folders.insert(fs::relative(path.parent_path(), root / "tests").string());
  }
  EXPECT_FALSE(folders.empty());
  for (const std::string& folder : folders) {
    EXPECT_NE(cmake.find("ckp_add_tests(" + folder), std::string::npos)
        << "tests/" << folder << " has *_test.cc files that no target builds";
  }
}

}  // namespace

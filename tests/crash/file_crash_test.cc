// Crashes while single files are written: the old one or the new one is there, nothing between.
#include "ckp/convert.h"
#include "crash_fixture.h"

namespace ckp {
namespace {

class FileCrashTest : public CrashTest {
 protected:
  struct Version {
    std::size_t begun = 0, done = 0;
    test::Bytes bytes;
  };

  std::filesystem::path path() const { return root_ / "model.out"; }
  std::filesystem::path source(int version) const {
    return place_ / fmt::format("source-{}.ckp", version);
  }

  // Writes two versions to the same path, the second over the first, and looks at all states.
  template <class Write>
  void write_twice(const std::string& name, const Write& write) {
    for (const int version : {1, 2}) {
      save_file(source(version), test::CrashModel(version).dict(),
                test::CrashModel::save_options(version));
    }
    record();
    for (const int version : {1, 2}) {
      const std::size_t begun = now();
      write(version);
      versions_.push_back({begun, now(), *disk_->disk().visible().at("model.out")});
    }
    const auto look = [&](const test::CrashState& state) { return check(state); };
    test::CrashLimits limits{.states_per_position = 200};
    for (const Version& version : versions_) limits.milestones.insert(version.done);
    expect_no_violations(name, for_each_state(limits, look));
  }

  std::vector<std::string> check(const test::CrashState& state) const {
    std::vector<std::string> problems;
    for (const auto& [name, bytes] : state.files) {
      const bool temporary = name.starts_with(".model.out.") && name.ends_with(".tmp");
      if (name != "model.out" && !temporary) problems.push_back(name + " is there");
    }
    const auto found = state.files.find("model.out");
    const bool must_exist = versions_.front().done <= state.position;
    if (found == state.files.end()) {
      if (must_exist) problems.push_back("the file is gone");
      return problems;
    }
    const auto may_be = [&](std::size_t i) {
      const bool replaced = i + 1 < versions_.size() && versions_[i + 1].done <= state.position;
      return !replaced && versions_[i].bytes == *found->second;
    };
    if (!may_be(0) && !may_be(1)) problems.push_back("the file is neither the old nor the new one");
    return problems;
  }

 private:
  std::vector<Version> versions_;
};

TEST_F(FileCrashTest, SaveFile) {
  write_twice("save_file", [&](int version) {
    save_file(path(), test::CrashModel(version).dict(), test::CrashModel::save_options(version),
              disk_);
    EXPECT_TRUE(test::CrashModel(version).is_in(open_file(path())));
  });
}

TEST_F(FileCrashTest, Standalone) {
  write_twice("convert to ckp", [&](int version) {
    write_standalone(open_file(source(version)), path(), disk_);
    EXPECT_TRUE(test::CrashModel(version).is_in(open_file(path())));
  });
}

TEST_F(FileCrashTest, Safetensors) {
  write_twice("convert to safetensors", [&](int version) {
    write_safetensors(open_file(source(version)), path(), {}, disk_);
    convert_safetensors(path(), place_ / "back.ckp");
    EXPECT_EQ(open_file(place_ / "back.ckp").manifest().tensors.size(), 2u);
  });
}

TEST_F(FileCrashTest, FromSafetensors) {
  write_twice("convert from safetensors", [&](int version) {
    const auto foreign = place_ / "foreign.safetensors";
    write_safetensors(open_file(source(version)), foreign);
    convert_safetensors(foreign, path(), {}, disk_);
    EXPECT_EQ(open_file(path()).manifest().tensors.size(), 2u);
  });
}

}  // namespace
}  // namespace ckp

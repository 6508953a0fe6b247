// Crashes in the middle of a repair: no state of it has lost a checkpoint that was sound, nor the
// bytes of a damaged file, and the next repair finishes the work.
#include "ckp/convert.h"
#include "ckp/error.h"
#include "ckp/format/pack.h"
#include "ckp/repair.h"
#include "crash_fixture.h"

namespace ckp {
namespace {

class RepairCrashTest : public CrashTest {
 protected:
  using Problems = std::vector<std::string>;

  // Four checkpoints of one run and two of another, all with the frozen chunks of the first.
  test::DiskImage make_store() {
    record();
    Store store = create_store();
    ckp::Run cnn = create_run(store, "cnn");
    ckp::Run mlp = create_run(store, "mlp");
    for (int version = 1; version <= 4; ++version) {
      packs_[version] = save(cnn, version).path.lexically_relative(root_).string();
      if (version <= 2) save(mlp, version);
    }
    cnn.finish(RunStatus::completed);
    mlp.finish(RunStatus::completed);
    return disk_->disk().visible();
  }

  // From these files on, with the damaged ones among them, a repair is recorded.
  void repair_recorded(test::DiskImage image, const std::set<std::string>& damaged) {
    for (const std::string& name : damaged) originals_[name] = *image.at(name);
    test::CrashState state;
    state.files = image;
    record(state, test::Disk(image));
    (void)repair(root_ / "store", {.threads = 1}, options());
  }

  void flip(test::DiskImage& image, const std::string& name, std::uint64_t at) const {
    image.at(name)->at(at) ^= std::byte{0x10};
  }
  // Of the pack's chunk with the largest number, or of its second manifest.
  std::uint64_t inside(const std::string& name, bool manifest) const {
    const FileSource source(
        std::shared_ptr<const File>(posix_file_system()->open(root_ / name, OpenMode::read)));
    const auto directory = format::read_directory(source);
    const auto record =
        manifest ? directory.manifests.at(1).offset : directory.chunks.back().offset;
    return record + format::RecordHeader::size + 9;
  }
  static std::string journal_of(const test::DiskImage& image, const std::string& run) {
    for (const auto& [name, bytes] : image) {
      if (name.find("/" + run + "-") != std::string::npos &&
          name.find("journal-") != std::string::npos) {
        return name;
      }
    }
    return {};
  }

  // The checkpoints with these versions hold what was saved; `salvaged` is counted.
  static Problems check_run(const Store& store, const std::string& run,
                            const std::set<int>& expected, std::size_t* salvaged) {
    Problems problems;
    std::set<int> found;
    for (const CheckpointRecord& one : store.checkpoints(store.run(run).id)) {
      const int version = static_cast<int>(one.epoch);
      if (one.salvaged_from) {
        if (salvaged != nullptr) ++*salvaged;
      } else if (expected.contains(version) &&
                 test::CrashModel(version).is_in(store.open_checkpoint(one))) {
        found.insert(version);
      }
    }
    for (const int version : expected) {
      if (!found.contains(version)) problems.push_back(fmt::format("lost: {}@{}", run, version));
    }
    return problems;
  }

  static bool has_bytes(const std::filesystem::path& file, const test::Bytes& expected) {
    const auto fs = posix_file_system();
    const auto status = fs->status(file);
    if (!status || status->size != expected.size()) return false;
    test::Bytes bytes(expected.size());
    fs->open(file, OpenMode::read)->read_at(0, bytes);
    return bytes == expected;
  }

  // In its place, or in a folder set aside.
  Problems check_originals(const std::filesystem::path& root, bool in_place) const {
    Problems problems;
    for (const auto& [name, bytes] : originals_) {
      bool found = in_place && has_bytes(root / name, bytes);
      const auto below = std::filesystem::path(name).lexically_relative("store");
      if (std::filesystem::exists(root / "store/set-aside")) {
        for (const auto& one : std::filesystem::directory_iterator(root / "store/set-aside")) {
          found = found || has_bytes(one.path() / below, bytes);
        }
      }
      if (!found) problems.push_back("the original is lost: " + name);
    }
    return problems;
  }

  static void append(Problems& to, const Problems& from) {
    to.insert(to.end(), from.begin(), from.end());
  }

  // Nothing that was sound is lost before the next repair, nor after it.
  Problems look(const test::CrashState& state, const std::function<Problems(const Store&)>& sound,
                const std::function<Problems(const Store&)>& repaired) {
    const auto root = place_ / fmt::format("repair-state-{}", ++states_);
    std::filesystem::create_directory(root);
    write_state(root, state);
    const auto path = root / "store";
    Problems problems;
    try {
      append(problems, check_originals(root, true));
      if (sound) append(problems, sound(Store::open(path)));
      (void)repair(path, {.threads = 1});
      append(problems, check_originals(root, false));
      const Store store = Store::open(path);
      const VerifyReport report = store.verify({.level = VerifyLevel::full, .threads = 1});
      for (const Finding& finding : report.findings) problems.push_back(finding.message);
      append(problems, repaired(store));
      for (const RepairStep& step : repair(path, {.threads = 1}).steps) {
        problems.push_back("a third repair: " + step.message);
      }
    } catch (const Error& error) {
      problems.push_back(error.what());
    }
    std::filesystem::remove_all(root);
    return problems;
  }

  std::map<int, std::string> packs_;  // of run cnn, relative to the root
  std::map<std::string, test::Bytes> originals_;
};

TEST_F(RepairCrashTest, OfPacksAndJournals) {
  test::DiskImage image = make_store();
  flip(image, packs_[1], inside(packs_[1], true));   // mended; all others refer to its chunks
  flip(image, packs_[3], inside(packs_[3], false));  // salvaged
  image.at(packs_[4]) = test::Bytes(image.at(packs_[4])->size());  // set aside
  const std::string journal = journal_of(image, "mlp");
  flip(image, journal, 50);
  repair_recorded(image, {packs_[1], packs_[3], packs_[4], journal});

  const auto sound = [](const Store& store) {
    Problems problems = check_run(store, "mlp", {1, 2}, nullptr);
    append(problems, check_run(store, "cnn", {2}, nullptr));
    return problems;
  };
  const auto repaired = [](const Store& store) {
    Problems problems = check_run(store, "mlp", {1, 2}, nullptr);
    std::size_t salvaged = 0;
    append(problems, check_run(store, "cnn", {1, 2}, &salvaged));
    if (salvaged != 1) problems.push_back(fmt::format("{} salvaged checkpoints", salvaged));
    return problems;
  };
  const auto states = for_each_state(
      {.states_per_position = 20}, [&](const auto& state) { return look(state, sound, repaired); });
  expect_no_violations("repair of packs and a journal", states);
}

TEST_F(RepairCrashTest, OfTheFileStore) {
  test::DiskImage image = make_store();
  flip(image, "store/STORE", 45);
  flip(image, packs_[1], inside(packs_[1], true));
  repair_recorded(image, {"store/STORE", packs_[1]});

  const auto repaired = [](const Store& store) {
    Problems problems = check_run(store, "mlp", {1, 2}, nullptr);
    append(problems, check_run(store, "cnn", {1, 2, 3, 4}, nullptr));
    return problems;
  };
  const auto states = for_each_state({.states_per_position = 20}, [&](const auto& state) {
    return look(state, nullptr, repaired);
  });
  expect_no_violations("repair of STORE", states);
}

}  // namespace
}  // namespace ckp

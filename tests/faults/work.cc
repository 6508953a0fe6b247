#include "faults/work.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "ckp/convert.h"
#include "ckp/save.h"
#include "faults/store_oracle.h"
#include "support/held_file_system.h"
#include "support/small_state.h"

namespace ckp::test {
namespace {

namespace stdfs = std::filesystem;

// What they share: the place, and the objects that meet the fault.
class StoreWork : public Work {
 public:
  StoreWork(const stdfs::path& place, const std::shared_ptr<FileSystem>& fs)
      : place_(place), fs_(fs) {
    options_.file_system = fs;
  }

 protected:
  stdfs::path path() const { return place_ / "store"; }
  static RunOptions run_options(const std::string& name) {
    RunOptions options;
    options.name = name;
    options.directions["loss"] = Better::lower;
    options.best_metric = "loss";
    return options;
  }
  void create() { store_.emplace(Store::create(path(), options_)); }
  // Runs with a checkpoint per version. Equal versions share their chunks.
  void add_run(const std::string& name, const std::vector<int>& versions) {
    ckp::Run run = store_->create_run(run_options(name));
    for (const int version : versions) save_version(run, version);
  }
  // Lets go of everything, and looks at the store as a process does that comes afterwards.
  void leave_and_expect(const std::vector<Expected>& checkpoints) {
    run_.reset();
    store_.reset();
    expect_holds(path(), checkpoints);
    expect_usable(path());
  }

  const stdfs::path place_;
  const std::shared_ptr<FileSystem> fs_;
  StoreOptions options_;
  std::optional<Store> store_;
  std::optional<ckp::Run> run_;
};

// A store is made, a run, and its first checkpoint.
class FirstSave final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void work() override {
    store_.emplace(Store::open_or_create(path(), options_));
    run_.emplace(store_->create_run(run_options("a")));
    run_->log(1, 10, {{"loss", 1.0}});
    save_version(*run_, 1);
  }
  void check(bool succeeded) override {
    // Training goes on with what there is, or starts once more.
    if (!store_) store_.emplace(Store::open_or_create(path(), options_));
    if (!run_) run_.emplace(store_->create_run(run_options(store_->free_run_name("a"))));
    const std::string name = run_->record().name;
    save_version(*run_, 2);
    std::vector<Expected> expected = {{name + "@2", 2}};
    if (succeeded) expected.push_back({"a@1", 1});
    leave_and_expect(expected);
  }
};

// A run saves a state that is partly in the store already, in its own checkpoint and another's.
class SaveWithSharing final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    create();
    add_run("other", {2});
    run_.emplace(store_->create_run(run_options("a")));
    save_version(*run_, 1);
  }
  void work() override {
    run_->log(2, 20, {{"loss", 0.5}});
    save_version(*run_, 2);
    run_->finish(RunStatus::completed);
  }
  void check(bool succeeded) override {
    save_version(*run_, 3);
    std::vector<Expected> expected = {{"other", 2}, {"a@1", 1}, {"a@3", 3}};
    if (succeeded) expected.push_back({"a@2", 2});
    leave_and_expect(expected);
  }
};

// A run saves changed rows of a tensor, and then others of them.
class SaveWithPatches final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    create();
    run_.emplace(store_->create_run(run_options("a")));
    save_version(*run_, 101);
  }
  void work() override {
    patches_ += save_version(*run_, 102).patches_written;
    patches_ += save_version(*run_, 103).patches_written;
  }
  void check(bool succeeded) override {
    // Where it cannot see what a patch would lie on, a save stores everything.
    EXPECT_TRUE(patches_ > 0 || !succeeded);
    save_version(*run_, 104);
    std::vector<Expected> expected = {{"a@101", 101}, {"a@104", 104}};
    if (succeeded) expected.insert(expected.end(), {{"a@102", 102}, {"a@103", 103}});
    leave_and_expect(expected);
  }

 private:
  std::uint64_t patches_ = 0;
};

// A run trains a tensor a little, twice.
class SaveWithDifferences final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    create();
    run_.emplace(store_->create_run(run_options("a")));
    save_version(*run_, 201);
  }
  void work() override {
    differences_ += save_version(*run_, 202).differences_written;
    differences_ += save_version(*run_, 203).differences_written;
  }
  void check(bool succeeded) override {
    // Where it cannot see or read what a difference would lie on, a save stores everything.
    EXPECT_TRUE(differences_ > 0 || !succeeded);
    save_version(*run_, 204);
    std::vector<Expected> expected = {{"a@201", 201}, {"a@204", 204}};
    if (succeeded) expected.insert(expected.end(), {{"a@202", 202}, {"a@203", 203}});
    leave_and_expect(expected);
  }

 private:
  std::uint64_t differences_ = 0;
};

// Saves that have queued up behind another one are committed together.
class GroupOfSaves final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    held_ = std::make_shared<HeldFileSystem>(fs_, HeldFileSystem::Where::store_lock);
    options_.file_system = held_;
    create();
    run_.emplace(store_->create_run(run_options("a")));
    save_version(*run_, 1);
  }
  void work() override {
    std::vector<PendingSave> saves;
    std::exception_ptr failure;
    held_->hold();
    try {
      for (const int version : {2, 3, 4, 5}) {
        saves.push_back(begin_version(*run_, version));
        if (version == 2) held_->wait_for(saves.back());
      }
    } catch (...) {
      failure = std::current_exception();
    }
    held_->let_go();
    for (PendingSave& save : saves) {
      try {
        acknowledged_.push_back(static_cast<int>(save.wait().checkpoint.epoch));
      } catch (...) {
        failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
  }
  void check(bool succeeded) override {
    EXPECT_EQ(acknowledged_.size() == 4, succeeded);
    save_version(*run_, 6);
    std::vector<Expected> expected = {{"a@1", 1}, {"a@6", 6}};
    for (const int version : acknowledged_) {
      expected.push_back({"a@" + std::to_string(version), version});
    }
    leave_and_expect(expected);
  }

 private:
  std::shared_ptr<HeldFileSystem> held_;
  std::vector<int> acknowledged_;
};

// A run that died is taken up again.
class ResumeAndSave final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    create();
    add_run("a", {1, 2});
  }
  void work() override {
    run_.emplace(store_->resume_run("a"));
    if (!run_->continued_from() || run_->continued_from()->record().epoch != 2) {
      throw std::logic_error("resumed from another checkpoint than the newest");
    }
    save_version(*run_, 3);
  }
  void check(bool succeeded) override {
    if (!run_) run_.emplace(store_->resume_run("a"));
    ASSERT_TRUE(run_->continued_from());
    EXPECT_GE(run_->continued_from()->record().epoch, 2);
    save_version(*run_, 4);
    std::vector<Expected> expected = {{"a@1", 1}, {"a@2", 2}, {"a", 4}};
    if (succeeded) expected.push_back({"a@3", 3});
    leave_and_expect(expected);
    EXPECT_EQ(Store::open(path()).run("a").status, RunStatus::interrupted);
  }
};

// Runs "a" (three checkpoints, of which the last stays) and "b", whose only one shares chunks with
// one that goes.
class Prune final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    create();
    add_run("a", {1, 7, 3});
    add_run("b", {7});
  }
  void work() override { store_->prune(policy()); }
  void check(bool succeeded) override {
    expect_holds(path(), {{"a", 3}, {"b", 7}});
    const Uuid run = store_->run("a").id;
    EXPECT_TRUE(!succeeded || store_->checkpoints(run).size() == 1);
    store_->prune(policy());  // what was cut short is finished by the same call
    EXPECT_EQ(store_->checkpoints(run).size(), 1u);
    leave_and_expect({{"a", 3}, {"b", 7}});
    EXPECT_TRUE(files_named(path(), ".dead").empty());
  }

 private:
  static KeepPolicy policy() {
    KeepPolicy policy;
    policy.last = 1;
    return policy;
  }
};

// To the trash, back from it, and for good.
class Trash final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    create();
    add_run("a", {1, 7, 3});
    add_run("b", {7});
    first_ = store_->find(parse_address("a@1")).id;
  }
  void work() override {
    store_->prune({.last = 1}, {}, {.trash_ns = hour_ns});
    store_->undelete({&first_, 1});
    store_->prune({}, {}, {.empty_trash = true});
  }
  void check(bool succeeded) override {
    expect_holds(path(), {{"a@3", 3}, {"b", 7}});
    if (succeeded) expect_holds(path(), {{"a@1", 1}});
    // Wherever it was cut short: the first was never to be deleted.
    const auto trash = store_->trash();
    const bool in_trash = std::any_of(trash.begin(), trash.end(),
                                      [&](const auto& one) { return one.checkpoint.id == first_; });
    if (in_trash) store_->undelete({&first_, 1});
    store_->prune({}, {}, {.empty_trash = true});
    EXPECT_TRUE(store_->trash().empty());
    leave_and_expect({{"a@1", 1}, {"a@3", 3}, {"b", 7}});
    EXPECT_TRUE(files_named(path(), ".dead").empty());
    EXPECT_TRUE(files_named(path(), ".trash").empty());
  }

 private:
  static constexpr std::int64_t hour_ns = 3'600'000'000'000;
  Uuid first_;
};

class RemoveRun final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    create();
    add_run("a", {1, 7});
    add_run("b", {7});
  }
  void work() override { store_->remove_run("a"); }
  void check(bool succeeded) override {
    const auto is_a = [](const RunRecord& run) { return run.name == "a"; };
    auto runs = store_->runs();
    const bool gone = std::none_of(runs.begin(), runs.end(), is_a);
    EXPECT_TRUE(gone || !succeeded);
    if (!gone) store_->remove_run("a");
    runs = store_->runs();
    EXPECT_TRUE(std::none_of(runs.begin(), runs.end(), is_a));
    leave_and_expect({{"b", 7}});
  }
};

// A tag, a metric and notes, days after the saves.
class SayLater final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    create();
    add_run("a", {1, 2});
    run_.emplace(store_->resume_run("a"));  // while it trains
    first_ = store_->find(parse_address("a@1"));
    store_->note(first_, "before");
  }
  void work() override {
    store_->tag(first_, {{"reviewed", true}});
    ++done_;
    store_->add_metrics(first_, {{"auc", 0.5}});
    ++done_;
    store_->note(store_->run("a"), "odd");
    ++done_;
  }
  void check(bool) override {
    save_version(*run_, 3);
    expect_said(*store_);
    run_.reset();
    store_.reset();
    Store store = Store::open(path());
    expect_said(store);
    const auto before = store.checkpoints(store.run("a").id);
    store.rebuild_index();
    EXPECT_EQ(store.checkpoints(store.run("a").id), before);
    store.tag(first_, {{"again", true}});
    leave_and_expect({{"a@1", 1}, {"a@2", 2}, {"a@3", 3}});
  }

 private:
  // What has returned is there, in its order; of the call that failed, all or nothing.
  void expect_said(const Store& store) const {
    const auto later = store.find(parse_address("a@1")).later;
    const std::size_t notes = store.run("a").later.size();
    const std::size_t count = later.size() - 1 + notes;
    EXPECT_TRUE(count == done_ || count == done_ + 1) << count << " of " << done_;
    constexpr LaterFact::Kind kinds[] = {LaterFact::Kind::note, LaterFact::Kind::tag,
                                         LaterFact::Kind::metric};
    ASSERT_TRUE(!later.empty() && later.size() <= 3u && notes <= 1u);
    for (std::size_t i = 0; i < later.size(); ++i) EXPECT_EQ(later[i].kind, kinds[i]);
    EXPECT_TRUE(notes == 0 || later.size() == 3);
  }

  CheckpointRecord first_;
  std::size_t done_ = 0;  // calls that have returned
};

// Import into a store, export from it, and conversion both ways, each over a file that exists.
class Convert final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    create();
    add_run("a", {1});
    stdfs::create_directory(place_ / "out");
    save(out("in.ckp"), 5, posix_file_system());
    write_safetensors(open_file(out("in.ckp")), out("in.safetensors"));
    for (const char* name : {"saved.ckp", "converted.ckp", "alone.ckp"}) {
      save(out(name), 6, posix_file_system());
    }
    write_safetensors(open_file(out("alone.ckp")), out("exported.safetensors"));
  }
  void work() override {
    store_->import_file(out("in.ckp"), {.run = "imported"});
    ++done_;
    const Checkpoint checkpoint = store_->open_checkpoint(store_->find(parse_address("a@1")));
    write_standalone(checkpoint, out("alone.ckp"), fs_);
    ++done_;
    write_safetensors(checkpoint, out("exported.safetensors"), {}, fs_);
    ++done_;
    convert_safetensors(out("in.safetensors"), out("converted.ckp"), {.threads = 1}, fs_);
    ++done_;
    save(out("saved.ckp"), 8, fs_);
    ++done_;
  }
  void check(bool) override {
    expect_old_or_new("alone.ckp", 1, 1);
    convert_safetensors(out("exported.safetensors"), out("exported.ckp"));
    expect_old_or_new("exported.ckp", 1, 2);
    expect_old_or_new("converted.ckp", 5, 3);
    expect_old_or_new("saved.ckp", 8, 4);
    std::vector<Expected> expected = {{"a@1", 1}};
    if (done_ == 0) {
      const auto runs = store_->runs();
      const auto is_it = [](const RunRecord& run) { return run.name == "imported"; };
      if (std::any_of(runs.begin(), runs.end(), is_it)) store_->remove_run("imported");
      store_->import_file(out("in.ckp"), {.run = "imported"});
    }
    expected.push_back({"imported", 5});
    leave_and_expect(expected);
  }

 private:
  stdfs::path out(const std::string& name) const { return place_ / "out" / name; }
  static void save(const stdfs::path& path, int version, std::shared_ptr<FileSystem> fs) {
    const SaveOptions options{.epoch = version, .step = 1, .encode = {.threads = 1}};
    save_file(path, SmallState(version, tensor_size).dict(), options, std::move(fs));
  }
  // Step `step` of the work writes this file.
  void expect_old_or_new(const std::string& name, int version, int step) const {
    SCOPED_TRACE(name);
    const Checkpoint found = open_file(out(name));
    const bool is_new = SmallState(version, tensor_size).is_in(found);
    EXPECT_TRUE(is_new || SmallState(6, tensor_size).is_in(found)) << "neither old nor new";
    EXPECT_TRUE(is_new || done_ <= step) << "the call returned, and the file is the old one";
  }

  int done_ = 0;  // calls that have returned
};

// The index is gone: a question makes it anew, and then it is made anew by order.
class RebuildIndex final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    create();
    add_run("a", {1, 2});
    add_run("b", {2});
    store_.emplace(Store::open(path(), options_));
    stdfs::remove_all(path() / "index");
  }
  void work() override {
    if (store_->checkpoints(store_->run("a").id).size() != 2) {
      throw std::logic_error("a checkpoint is missing in the answer");
    }
    const auto report = store_->rebuild_index();
    if (report.checkpoints != 3) throw std::logic_error("a checkpoint is missing in the index");
  }
  void check(bool) override {
    EXPECT_EQ(store_->checkpoints(store_->run("a").id).size(), 2u);
    leave_and_expect({{"a@1", 1}, {"a@2", 2}, {"b", 2}});
    // What a rebuild that failed has left, the next one takes away.
    Store::open(path()).rebuild_index();
    EXPECT_TRUE(files_named(path(), "index.").empty());
  }
};

// List, find, load and verify.
class Read final : public StoreWork {
 public:
  using StoreWork::StoreWork;
  void prepare() override {
    create();
    add_run("a", {1, 2});
    add_run("b", {2});
  }
  void work() override {
    const Store store = Store::open(path(), options_);
    if (store.runs().size() != 2) throw std::logic_error("a run is missing in the answer");
    const auto found = store.find(parse_address("a@best"));
    if (found.epoch != 2) throw std::logic_error("not the best one");
    if (!SmallState(2, tensor_size).is_in(store.open_checkpoint(store.find(parse_address("b"))))) {
      throw std::logic_error("other bytes were loaded");
    }
    const VerifyReport report = store.verify({.level = VerifyLevel::full, .threads = 1});
    if (report.clean() && report.checkpoints != 3) {
      throw std::logic_error("verify missed a checkpoint and says that all is well");
    }
  }
  void check(bool) override { leave_and_expect({{"a@1", 1}, {"a@2", 2}, {"b", 2}}); }
};

template <class Kind>
std::unique_ptr<Work> make(const stdfs::path& place, const std::shared_ptr<FileSystem>& fs) {
  return std::make_unique<Kind>(place, fs);
}

struct Entry {
  const char* name;
  std::unique_ptr<Work> (*make)(const stdfs::path&, const std::shared_ptr<FileSystem>&);
};
constexpr Entry works[] = {{"first_save", make<FirstSave>},
                           {"save_with_sharing", make<SaveWithSharing>},
                           {"save_with_patches", make<SaveWithPatches>},
                           {"save_with_differences", make<SaveWithDifferences>},
                           {"group_of_saves", make<GroupOfSaves>},
                           {"resume_and_save", make<ResumeAndSave>},
                           {"prune", make<Prune>},
                           {"trash", make<Trash>},
                           {"remove_run", make<RemoveRun>},
                           {"say_later", make<SayLater>},
                           {"convert", make<Convert>},
                           {"rebuild_index", make<RebuildIndex>},
                           {"read", make<Read>}};

}  // namespace

const std::vector<std::string>& work_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Entry& entry : works) all.emplace_back(entry.name);
    return all;
  }();
  return names;
}

std::unique_ptr<Work> make_work(const std::string& name, const stdfs::path& place,
                                const std::shared_ptr<FileSystem>& fs) {
  for (const Entry& entry : works) {
    if (name == entry.name) return entry.make(place, fs);
  }
  throw std::invalid_argument("no work is called " + name);
}

}  // namespace ckp::test

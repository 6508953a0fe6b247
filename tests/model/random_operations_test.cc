// Random operations on a store, against a model that is a map: what a kept checkpoint needs is
// never deleted, a plan is what happens, and a rebuilt index answers as before.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ckp/convert.h"
#include "ckp/error.h"
#include "ckp/format/rounding.h"
#include "ckp/store.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/hooked_file_system.h"
#include "support/memory_directory.h"
#include "support/sanitizer.h"
#include "support/seed.h"
#include "support/set_clock.h"
#include "support/temporary_directory.h"

namespace ckp::test {
namespace {

using Random = std::mt19937_64;

// States are put together from few blocks, so that most chunks are in several checkpoints, or are
// what the run saved last with a few other rows, which are stored as patches, or with other low
// bits everywhere, which are stored as differences. Half as many bits of one tensor stand beside
// it, rounded, which is not stored at all, or cut off.
constexpr std::size_t block_size = 16384;  // one chunk
constexpr std::size_t block_kinds = 12;
constexpr std::size_t blocks_per_tensor = 4;  // 64 KiB: smaller storages share chunks
constexpr std::size_t tensors_per_state = 3;
constexpr std::size_t row_size = 256;
constexpr std::size_t row_kinds = 3;
constexpr std::size_t rows_per_tensor = blocks_per_tensor * block_size / row_size;

struct TensorContent {
  std::array<std::size_t, blocks_per_tensor> blocks{};
  std::map<std::size_t, std::size_t> rows{};  // kinds of those that are not as in their blocks
  std::uint64_t trained = 0;                  // another number, other low bits everywhere
  bool cut = false;                           // in half_of()
};
using Content = std::array<TensorContent, tensors_per_state>;

void fill(std::span<std::byte> bytes, std::uint64_t kind) {
  Random random(kind);
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    // Finite as float32: the top bit of each exponent is cleared.
    const std::uint64_t word = random() & 0xBFFFFFFFBFFFFFFFull;
    std::memcpy(&bytes[i], &word, 8);
  }
}

std::vector<std::byte> bytes_of(const TensorContent& tensor) {
  std::vector<std::byte> bytes(blocks_per_tensor * block_size);
  const std::span<std::byte> all(bytes);
  for (std::size_t i = 0; i < blocks_per_tensor; ++i) {
    fill(all.subspan(i * block_size, block_size), tensor.blocks[i]);
  }
  for (const auto& [row, kind] : tensor.rows) {
    fill(all.subspan(row * row_size, row_size), block_kinds + kind);
  }
  if (tensor.trained == 0) return bytes;
  Random low_bits(tensor.trained);
  for (std::size_t i = 0; i < bytes.size(); i += 4)
    bytes[i] ^= static_cast<std::byte>(low_bits() % 8);
  return bytes;
}

std::vector<std::byte> half_of(const TensorContent& tensor) {
  const std::vector<std::byte> bytes = bytes_of(tensor);
  std::vector<std::byte> half(bytes.size() / 2);
  format::round_floats(format::Rounding::bfloat16, bytes, half);
  for (std::size_t i = 0; i < half.size() && tensor.cut; ++i) half[i] = bytes[2 * i - i % 2 + 2];
  return half;
}

std::string tensor_name(std::size_t number) { return fmt::format("model/layer{}", number); }

// What comes after `last`.
Content random_content(Random& random, const Content* last) {
  Content content = last != nullptr ? *last : Content{};
  for (TensorContent& tensor : content) {
    if (last == nullptr || random() % 3 == 0) {
      tensor = {};
      for (auto& block : tensor.blocks) block = random() % block_kinds;
    } else if (random() % 3 == 0) {
      tensor.trained = random();
    } else {
      for (auto rows = random() % 5; rows > 0; --rows) {
        tensor.rows[random() % rows_per_tensor] = random() % row_kinds;
      }
    }
  }
  if (random() % 8 == 0) content.back().cut = !content.back().cut;
  return content;
}

struct ModelRun {
  std::vector<Uuid> checkpoints;  // in commit order
  std::optional<Run> open;
  std::optional<Content> last;  // that was saved
  std::int64_t epoch = 0;
  bool imported = false;
  std::size_t notes = 0;
};

class World {
 public:
  World(std::filesystem::path path, std::uint64_t seed) : path_(std::move(path)), random_(seed) {
    clock_->now = std::int64_t{1'700'000'000} * second_ns;
    options_.clock = clock_;
    options_.file_system = files_;
    options_.lock_timeout_ms = 0;  // one thread: a lock that is held will not become free
    store_.emplace(Store::create(path_, options_));
  }

  // One random operation, then the comparison of what is listed.
  void step() {
    switch (random_() % 18) {
      case 0:
        create_run();
        break;
      case 1:
        close_run();
        break;
      case 2:
        resume_run();
        break;
      case 3:
        remove_some();
        break;
      case 4:
        if (random_() % 8 == 0) remove_run();
        if (random_() % 8 == 0) import_one();
        break;
      case 5:
        prune(*store_);
        break;
      case 6:
        load_one();
        break;
      case 7:
        store_.emplace(Store::open(path_, options_));
        break;
      case 8:
        say_something();
        if (random_() % 4 == 0) prune_by_policy();
        break;
      case 9:
        use_trash();
        break;
      default:
        save();
    }
    compare_lists();
  }

  // Everything loads bit for bit, and every stored byte verifies.
  void check_everything() {
    undelete(trash_in_order());
    for (const auto& [name, run] : runs_) {
      for (const CheckpointRecord& record : store_->checkpoints(store_->run(name).id)) {
        expect_content(record);
      }
    }
    const VerifyReport report = store_->verify({.level = VerifyLevel::full, .threads = 1});
    for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
  }

  void rebuild_and_compare() {
    const auto before = answers();
    store_->rebuild_index();
    EXPECT_TRUE(before == answers()) << "the rebuilt index answers otherwise";
    ++rebuilds;
  }

  std::uint64_t plans = 0, saves = 0, interleaved = 0, rebuilds = 0, deleted = 0, rewritten = 0;
  std::uint64_t patched = 0, imported_patched = 0, loaded_patched = 0, later = 0;
  std::uint64_t differing = 0, loaded_differing = 0, policies = 0;
  std::uint64_t trashed = 0, expired = 0, undeleted = 0;
  std::uint64_t derived = 0, loaded_derived = 0;

 private:
  using Answers = std::vector<std::pair<RunRecord, std::vector<CheckpointRecord>>>;
  Answers answers() const {
    Answers all;
    for (RunRecord& run : store_->runs()) {
      auto checkpoints = store_->checkpoints(run.id);
      // Of a run that lives it is the time of asking.
      if (run.status == RunStatus::in_progress) run.attempts.back().last_seen_ns = 0;
      all.emplace_back(std::move(run), std::move(checkpoints));
    }
    return all;
  }

  std::map<std::string, ModelRun>::iterator any_run() {
    auto run = runs_.begin();
    std::advance(run, static_cast<std::ptrdiff_t>(random_() % runs_.size()));
    return run;
  }

  void create_run() {
    if (runs_.size() >= 5) return;
    RunOptions options;
    options.name = fmt::format("run{}", ++names_);
    options.directions = {{"loss", Better::lower}};
    options.best_metric = "loss";
    runs_[options.name].open.emplace(store_->create_run(options));
  }

  void close_run() {
    if (!runs_.empty()) any_run()->second.open.reset();
  }

  void resume_run() {
    if (runs_.empty()) return;
    const auto run = any_run();
    run->second.open.reset();
    std::optional<Address> from;
    if (!run->second.checkpoints.empty() && random_() % 3 == 0) {
      const auto& all = run->second.checkpoints;
      from = parse_address(run->first + "@" + all[random_() % all.size()].hex());
    }
    run->second.open.emplace(store_->resume_run(run->first, from));
    const auto& checkpoint = run->second.open->continued_from();
    if (checkpoint) expect_content(checkpoint->record());
    // Nothing is damaged here: a run starts afresh only where all that it has holds NaN.
    for (const std::string& reason : run->second.open->skipped()) {
      EXPECT_FALSE(checkpoint.has_value()) << reason;
      EXPECT_NE(reason.find("NaN"), std::string::npos) << reason;
    }
  }

  // Sometimes another store object prunes in the middle of it.
  void save() {
    if (runs_.empty()) return;
    const auto run = any_run();
    if (!run->second.open) return;
    auto& last = run->second.last;
    const Content content = random_content(random_, last ? &*last : nullptr);
    last = content;
    std::vector<std::vector<std::byte>> memory;
    for (const auto& tensor : content) memory.push_back(bytes_of(tensor));
    const bool nonfinite = random_() % 10 == 0;
    if (nonfinite) std::fill_n(memory[0].begin(), 4, std::byte{0xFF});
    StateDict state;
    for (std::size_t i = 0; i < memory.size(); ++i) {
      state.add(
          tensor_name(i),
          contiguous_view(DType::float32, {block_size * blocks_per_tensor / 4}, memory[i].data()));
    }
    const auto half = half_of(content.back());
    state.add("model/half",
              contiguous_view(DType::bfloat16, {block_size * blocks_per_tensor / 4}, half.data()));
    SaveOptions options;
    options.epoch = run->second.epoch += static_cast<std::int64_t>(random_() % 2);
    options.step = static_cast<std::int64_t>(++saves);
    options.metrics = {{"loss", static_cast<double>(random_() % 6)}};
    if (random_() % 8 == 0) options.tags = {{"gold", true}};
    options.encode.chunk_size = block_size;
    options.encode.threads = 1;
    options.encode.compression =
        random_() % 3 == 0 ? format::Compression::none : format::Compression::balanced;
    if (random_() % 4 == 0) prune_at_operation(1 + random_() % 12);
    const SaveReport report = run->second.open->save(state, options).wait();
    files_->before = nullptr;
    const CheckpointRecord& record = report.checkpoint;
    patched += report.patches_written > 0 ? 1 : 0;
    differing += report.differences_written > 0 ? 1 : 0;
    derived += report.chunks_derived > 0 ? 1 : 0;
    EXPECT_EQ(record.nonfinite, nonfinite);
    if (forgotten_.contains(record.id)) return;  // pruned behind its commit
    if (!trash_.contains(record.id)) run->second.checkpoints.push_back(record.id);
    contents_[record.id] = {content, nonfinite, record.commit};
  }

  // By way of a file.
  void import_one() {
    if (runs_.size() >= 5 || contents_.empty()) return;
    const auto from = any_run();
    if (from->second.checkpoints.empty()) return;
    const auto all = store_->checkpoints(store_->run(from->first).id);
    const CheckpointRecord& record = all[random_() % all.size()];
    const Checkpoint checkpoint = store_->open_checkpoint(record);
    imported_patched += checkpoint.manifest().patches.empty() ? 0 : 1;
    const auto file = path_.parent_path() / "exported.ckp";
    write_standalone(checkpoint, file);
    const std::string name = fmt::format("run{}", ++names_);
    const CheckpointRecord imported = store_->import_file(file, {.run = name});
    ModelRun& run = runs_[name];
    run.checkpoints.push_back(imported.id);
    run.epoch = imported.epoch;
    run.imported = true;
    contents_[imported.id] = contents_.at(record.id);
    contents_[imported.id].commit = imported.commit;
    run.last = contents_.at(record.id).content;
  }

  void prune_at_operation(std::uint64_t countdown) {
    countdown_ = countdown;
    files_->before = [this](const std::string& operation) {
      // Not while the save asks the index: locks are taken in one order.
      if (operation.find("/runs/") == std::string::npos || --countdown_ > 0) return;
      files_->before = nullptr;
      try {
        Store other = Store::open(path_, options_);
        prune(other);
        ++interleaved;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::locked) throw;  // the save holds the store at this moment
      }
    };
  }

  void remove_some() {
    if (runs_.empty()) return;
    auto& [name, run] = *any_run();
    auto& all = run.checkpoints;
    std::vector<Uuid> going;
    for (const Uuid& id : all) {
      if (random_() % 6 == 0) going.push_back(id);
    }
    if (going.empty()) return;
    const PruneOptions options = random_options();
    store_->remove_checkpoints(going, options);
    forget_expired(options);
    for (const Uuid& id : going) take_away(id, name, options);
  }

  PruneOptions random_options() {
    PruneOptions options;
    if (random_() % 2 == 0)
      options.trash_ns = static_cast<std::int64_t>(1 + random_() % 40) * hour_ns;
    return options;
  }

  // What a removal of anything has to do as well.
  void forget_expired(const PruneOptions& options) {
    std::erase_if(trash_, [&](const auto& entry) {
      const auto& [id, one] = entry;
      if (!options.empty_trash && one.until_ns / second_ns > clock_->now / second_ns) return false;
      forget(id);
      ++expired;
      return true;
    });
  }

  void take_away(const Uuid& id, const std::string& run, const PruneOptions& options) {
    if (options.trash_ns == 0) return forget(id);
    std::erase(runs_.at(run).checkpoints, id);
    trash_[id] = {run, clock_->now / second_ns * second_ns + options.trash_ns};
    ++trashed;
  }

  std::vector<Uuid> trash_in_order() const {
    std::vector<Uuid> ids;
    for (const TrashedCheckpoint& one : store_->trash()) ids.push_back(one.checkpoint.id);
    return ids;
  }

  // Commit numbers stay as they were, and tell where it belongs.
  void undelete(const std::vector<Uuid>& ids) {
    for (const CheckpointRecord& record : store_->undelete(ids)) {
      expect_content(record);
      auto& all = runs_.at(trash_.at(record.id).run).checkpoints;
      all.push_back(record.id);
      std::ranges::sort(all, {}, [&](const Uuid& id) { return contents_.at(id).commit; });
      trash_.erase(record.id);
      ++undeleted;
    }
  }

  // Time goes by, some come back, or all go.
  void use_trash() {
    clock_->now += static_cast<std::int64_t>(random_() % 20) * hour_ns;
    if (random_() % 6 == 0) {
      const PruneOptions options{.empty_trash = true};
      const std::uint64_t before = bytes_on_disk();
      const PrunePlan planned = store_->plan_prune({}, {}, options);
      expect_same(planned, store_->prune({}, {}, options));
      EXPECT_EQ(before - bytes_on_disk(), planned.bytes_freed);
      forget_expired(options);
      return;
    }
    std::vector<Uuid> some = trash_in_order();
    std::erase_if(some, [&](const Uuid&) { return random_() % 3 != 0; });
    undelete(some);
  }

  void remove_run() {
    if (runs_.empty()) return;
    const auto run = any_run();
    run->second.open.reset();
    const std::string name = run->first;
    store_->remove_run(name);
    forget_expired({});
    const auto gone = run->second.checkpoints;
    for (const Uuid& id : gone) forget(id);
    std::erase_if(trash_, [&](const auto& entry) {
      if (entry.second.run != name) return false;
      forget(entry.first);
      return true;
    });
    runs_.erase(run);
  }

  KeepPolicy random_policy() {
    KeepPolicy policy;
    policy.last = static_cast<std::uint32_t>(random_() % 4);
    if (random_() % 2 == 0) {
      // Imported runs do not say which is better.
      const bool all_say =
          std::ranges::none_of(runs_, [](const auto& entry) { return entry.second.imported; });
      policy.best.push_back({1 + static_cast<std::uint32_t>(random_() % 2), "loss",
                             all_say ? std::nullopt : std::optional(Better::lower)});
    }
    if (random_() % 3 == 0) policy.every_epochs = 3;
    if (random_() % 3 == 0) policy.tags.push_back("gold");
    if (random_() % 4 == 0) policy.daily = 1 + static_cast<std::uint32_t>(random_() % 2);
    return policy;
  }

  void prune(Store& store) {
    const KeepPolicy policy = random_policy();
    if (policy.empty()) return;
    PruneOptions options = random_options();
    options.empty_trash = random_() % 16 == 0;
    PrunePlan planned;
    try {
      planned = store.plan_prune(policy, {}, options);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::locked) throw;
      // A rule that no checkpoint fits, now.
      ASSERT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
      return;
    }
    const std::uint64_t before = bytes_on_disk();
    take_over(store, planned, store.prune(policy, {}, options), before, options);
  }

  // Policies that the store keeps, one of them a run's own.
  void prune_by_policy() {
    const KeepPolicy policy = random_policy(), own = random_policy();
    if (policy.empty() || runs_.empty()) return;
    std::vector<std::string> open;
    for (auto& [run_name, run] : runs_) {
      if (run.open) open.push_back(run_name);
      run.open.reset();  // it would go by it, too
    }
    const std::string name = any_run()->first;
    store_->set_policy(policy);
    if (!own.empty()) store_->set_policy(own, name);
    const PruneOptions options = random_options();
    const PrunePlan planned = store_->plan_policy({}, options);
    const std::uint64_t before = bytes_on_disk();
    take_over(*store_, planned, store_->apply_policy({}, options), before, options);
    store_->clear_policy();
    if (!own.empty()) store_->clear_policy(name);
    EXPECT_TRUE(store_->policies().empty());
    for (const std::string& each : open) runs_.at(each).open.emplace(store_->resume_run(each));
    ++policies;
  }

  void take_over(Store& store, const PrunePlan& planned, const PrunePlan& done,
                 std::uint64_t before, const PruneOptions& options) {
    expect_same(planned, done);
    EXPECT_EQ(before - bytes_on_disk(), planned.bytes_freed);
    ++plans;
    rewritten += done.rewrites.size();
    forget_expired(options);
    for (const PruneEntry& entry : done.entries) {
      if (!entry.decision.keep) take_away(entry.decision.checkpoint.id, entry.run, options);
    }
    EXPECT_EQ(done.trash_checkpoints, trash_.size());
    expect_later(store, done);
  }

  // What the plan says that emptying the trash would free now.
  static void expect_later(Store& store, const PrunePlan& done) {
    const PrunePlan emptied = store.plan_prune({}, {}, {.empty_trash = true});
    EXPECT_EQ(emptied.expired, done.trash_checkpoints);
    EXPECT_EQ(emptied.bytes_freed, done.trash_frees);
  }

  static void expect_same(const PrunePlan& planned, const PrunePlan& done) {
    EXPECT_EQ(planned.bytes_freed, done.bytes_freed);
    EXPECT_EQ(planned.bytes_held, done.bytes_held);
    EXPECT_EQ(planned.bytes_trashed, done.bytes_trashed);
    EXPECT_EQ(planned.expired, done.expired);
    EXPECT_EQ(planned.trash_checkpoints, done.trash_checkpoints);
    EXPECT_EQ(planned.trash_bytes, done.trash_bytes);
    EXPECT_EQ(planned.trash_frees, done.trash_frees);
    EXPECT_EQ(planned.rewrites.size(), done.rewrites.size());
    ASSERT_EQ(planned.entries.size(), done.entries.size());
    for (std::size_t i = 0; i < done.entries.size(); ++i) {
      const PruneEntry &a = planned.entries[i], &b = done.entries[i];
      EXPECT_EQ(a.decision.checkpoint.id, b.decision.checkpoint.id);
      EXPECT_EQ(a.decision.keep, b.decision.keep);
      EXPECT_EQ(a.decision.reasons, b.decision.reasons);
      EXPECT_EQ(a.bytes_freed, b.bytes_freed);
      EXPECT_EQ(a.held, b.held);
      EXPECT_EQ(a.trash_until_ns, b.trash_until_ns);
    }
  }

  // Of packs and what is left of them.
  std::uint64_t bytes_on_disk() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_ / "runs")) {
      if (!entry.is_regular_file()) continue;
      if (entry.path().filename().string().starts_with("journal-")) continue;
      bytes += entry.file_size();
    }
    return bytes;
  }

  void forget(const Uuid& id) {
    for (auto& [name, run] : runs_) std::erase(run.checkpoints, id);
    contents_.erase(id);
    forgotten_.insert(id);
    ++deleted;
  }

  // Of a checkpoint, and now and then of its run.
  void say_something() {
    if (contents_.empty()) return;
    const auto run = any_run();
    if (run->second.checkpoints.empty()) return;
    const RunRecord record = store_->run(run->first);
    const auto all = store_->checkpoints(record.id);
    const CheckpointRecord& one = all[random_() % all.size()];
    const std::vector<std::string> gold{"gold"};
    switch (random_() % 5) {
      case 0:
        store_->note(record, "odd");
        ++run->second.notes;
        return;
      case 1:
        store_->note(one, "good");
        break;
      case 2:
        store_->add_metrics(one, {{"loss", static_cast<double>(random_() % 6)}});
        break;
      default:
        if (one.tags.contains("gold")) {
          store_->remove_tags(one, gold);
        } else {
          store_->tag(one, {{"gold", true}});
        }
    }
    ++said_[one.id];
    ++later;
  }

  void load_one() {
    if (contents_.empty()) return;
    const auto run = any_run();
    if (run->second.checkpoints.empty()) return;
    const auto all = store_->checkpoints(store_->run(run->first).id);
    expect_content(all[random_() % all.size()]);
  }

  void expect_content(const CheckpointRecord& record) {
    const auto found = contents_.find(record.id);
    ASSERT_TRUE(found != contents_.end()) << record.id.hex() << " is not in the model";
    const Checkpoint checkpoint = store_->open_checkpoint(record);
    loaded_patched += checkpoint.manifest().patches.empty() ? 0 : 1;
    loaded_differing += checkpoint.manifest().differences.empty() ? 0 : 1;
    loaded_derived += checkpoint.manifest().derived.empty() ? 0 : 1;
    EXPECT_TRUE(checkpoint.read("model/half") == half_of(found->second.content.back()));
    for (std::size_t i = 0; i < tensors_per_state; ++i) {
      auto expected = bytes_of(found->second.content[i]);
      if (i == 0 && found->second.nonfinite) std::fill_n(expected.begin(), 4, std::byte{0xFF});
      EXPECT_TRUE(checkpoint.read(tensor_name(i)) == expected) << record.id.hex();
    }
  }

  void compare_lists() const {
    ASSERT_EQ(store_->runs().size(), runs_.size());
    for (const auto& [name, run] : runs_) {
      const RunRecord record = store_->run(name);
      EXPECT_EQ(record.status == RunStatus::in_progress, run.open.has_value()) << name;
      std::vector<Uuid> listed;
      EXPECT_EQ(record.later.size(), run.notes) << name;
      for (const auto& one : store_->checkpoints(record.id)) {
        listed.push_back(one.id);
        const auto said = said_.find(one.id);
        EXPECT_EQ(one.later.size(), said == said_.end() ? 0 : said->second) << one.id.hex();
      }
      ASSERT_TRUE(listed == run.checkpoints) << name;
    }
    const auto trash = store_->trash();
    ASSERT_EQ(trash.size(), trash_.size());
    for (const TrashedCheckpoint& one : trash) {
      const auto found = trash_.find(one.checkpoint.id);
      ASSERT_TRUE(found != trash_.end()) << one.checkpoint.id.hex();
      EXPECT_EQ(one.run, found->second.run);
      EXPECT_EQ(one.until_ns, found->second.until_ns);
    }
  }

  static constexpr std::int64_t second_ns = 1'000'000'000, hour_ns = 3600 * second_ns;

  struct Saved {
    Content content;
    bool nonfinite = false;
    std::uint64_t commit = 0;
  };
  struct Trashed {
    std::string run;
    std::int64_t until_ns = 0;
  };

  std::filesystem::path path_;
  Random random_;
  std::shared_ptr<SetClock> clock_ = std::make_shared<SetClock>();
  std::shared_ptr<HookedFileSystem> files_ = std::make_shared<HookedFileSystem>();
  StoreOptions options_;
  std::optional<Store> store_;
  std::map<std::string, ModelRun> runs_;
  std::map<Uuid, Saved> contents_;
  std::map<Uuid, std::size_t> said_;  // how often something was said of it
  std::set<Uuid> forgotten_;
  std::map<Uuid, Trashed> trash_;
  std::uint64_t names_ = 0;
  std::uint64_t countdown_ = 0;  // operations of a save until a prune comes in between
};

class RandomOperations : public testing::TestWithParam<std::uint64_t> {};

TEST_P(RandomOperations, AStoreIsWhatItsModelIs) {
  constexpr std::uint64_t operations_per_rebuild = 200;
  const std::uint64_t operations = effort(sanitized ? 400 : 1000);
  const std::uint64_t used = seed(GetParam());
  const TemporaryDirectory directory(memory_directory());
  World world(directory / "store", used);
  for (std::uint64_t i = 1; i <= operations && !HasFatalFailure(); ++i) {
    SCOPED_TRACE(fmt::format("operation {}", i));
    world.step();
    if (i % operations_per_rebuild == 0) {
      world.check_everything();
      world.rebuild_and_compare();
    }
    if (HasFailure()) FAIL() << "stopped at operation " << i;
  }
  EXPECT_GT(world.deleted, 0u);
  EXPECT_GT(world.interleaved, 0u);
  EXPECT_GT(world.patched, 0u);
  EXPECT_GT(world.loaded_patched, 0u);
  EXPECT_GT(world.later, 0u);
  EXPECT_GT(world.differing, 0u);
  EXPECT_GT(world.policies, 0u);
  EXPECT_GT(world.loaded_differing, 0u);
  EXPECT_GT(world.derived, 0u);
  EXPECT_GT(world.loaded_derived, 0u);
  EXPECT_GT(world.trashed, 0u);
  EXPECT_GT(world.expired, 0u);
  EXPECT_GT(world.undeleted, 0u);
  figure(
      fmt::format("P8 seed {}", used),
      fmt::format(
          "{} operations, {} saves, {} of them with patches ({} prunes in the middle of "
          "one), {} deleted, {} packs rewritten, 0 lost; {} loads of patched checkpoints, "
          "{} imports of one; {} saves with differences, {} loads; {} to the trash, {} expired "
          "there, {} brought back; {} with derived tensors, {} loads",
          operations, world.saves, world.patched, world.interleaved, world.deleted, world.rewritten,
          world.loaded_patched, world.imported_patched, world.differing, world.loaded_differing,
          world.trashed, world.expired, world.undeleted, world.derived, world.loaded_derived));
  figure(fmt::format("P9 seed {}", used),
         fmt::format("{} plans, {} of them by stored policies, all exact", world.plans,
                     world.policies));
  figure(fmt::format("P10 seed {}", used), fmt::format("{} rebuilds, all equal", world.rebuilds));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomOperations, testing::Values(11, 12, 13, 14));

}  // namespace
}  // namespace ckp::test

#include "damage/sample_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "ckp/error.h"
#include "ckp/format/rounding.h"
#include "store/layout.h"

namespace ckp::test {
namespace {

constexpr std::size_t chunk_size = 64u << 10;  // the smallest storage that has a chunk of its own
constexpr int patched_version = 4, differing_version = 5, derived_version = 6;

// Large in memory, a few hundred bytes on disk.
std::vector<std::uint32_t> pattern(int version, std::size_t period) {
  std::vector<std::uint32_t> values(chunk_size / sizeof(std::uint32_t));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = 0x3c800000u + static_cast<std::uint32_t>(i % period * 77) +
                static_cast<std::uint32_t>(version) * 0x10000u;
  }
  return values;
}

struct SampleState {
  SampleState(int version, int salt)
      : frozen(pattern(100 + salt, 5)),
        weights(pattern(version == derived_version ? version : std::min(version, 3), 3)),
        step(version, version * 100) {
    if (version == patched_version) std::fill_n(weights.begin() + 700, 64, 0x3f800000u);
    if (version == derived_version) {
      half.resize(weights.size());
      format::round_floats(format::Rounding::bfloat16, std::as_bytes(std::span(weights)),
                           std::as_writable_bytes(std::span(half)));
    }
    if (version != differing_version) return;
    for (std::size_t i = 0; i < weights.size(); i += 2) ++weights[i];
  }
  std::vector<std::uint32_t> frozen, weights;
  std::vector<std::uint16_t> half;  // of the weights; empty: there is none
  std::vector<std::int64_t> step;

  StateDict dict() const {
    StateDict state;
    const auto add = [&](const char* name, DType dtype, const auto& values) {
      state.add(name,
                contiguous_view(dtype, {static_cast<std::int64_t>(values.size())}, values.data()));
    };
    add("model/frozen", DType::float32, frozen);
    add("model/weights", DType::float32, weights);
    if (!half.empty()) add("model/half", DType::bfloat16, half);
    add("optimizer/step", DType::int64, step);
    state.set("progress/note", "plain value");
    return state;
  }
  std::map<std::string, std::vector<std::byte>> elements() const {
    std::map<std::string, std::vector<std::byte>> all;
    const StateDict state = dict();
    for (const auto& [name, view] : state.tensors()) {
      const auto* bytes = static_cast<const std::byte*>(view.storage);
      all[name].assign(bytes, bytes + view.storage_size);
    }
    return all;
  }
};

RunOptions run_options(const std::string& name) {
  RunOptions options;
  options.name = name;
  options.directions = {{"val/loss", Better::lower}};
  options.best_metric = "val/loss";
  return options;
}

SavedCheckpoint save(ckp::Run& run, int epoch, int salt) {
  const SampleState state(epoch, salt);
  SaveOptions options;
  options.epoch = epoch;
  options.step = epoch * 100;
  options.metrics = {{"val/loss", 1.0 / epoch}};
  run.log(epoch, epoch * 100 - 50, {{"train/loss", 0.5}});
  const SaveReport report = run.save(state.dict(), options).wait();
  EXPECT_EQ(report.patches_written, epoch == patched_version ? 1u : 0u);
  // Also those of what is the source of derived tensors.
  EXPECT_EQ(report.differences_written, epoch >= differing_version ? 1u : 0u);
  EXPECT_EQ(report.chunks_derived, epoch == derived_version ? 1u : 0u);
  SavedCheckpoint saved{report.checkpoint, state.elements()};
  run.log(epoch, epoch * 100 + 50, {{"train/loss", 0.25}});
  return saved;
}

std::string describe(const SavedRun& run, const CheckpointRecord& checkpoint) {
  return run.name + "@" + std::to_string(checkpoint.epoch);
}

// Collects the answers of one store.
class Interview {
 public:
  Interview(const SampleStore& truth, FileSystem& fs, const LookOptions& options)
      : truth_(truth), fs_(fs), options_(options) {}

  // `open` gives the store.
  template <class Open>
  Answers run(Open open) {
    ask("open", [&] { ask_store(open()); });
    return std::move(answers_);
  }

 private:
  // Nothing but an Error may come out of a call.
  template <class Question>
  void ask(const std::string& what, Question question) {
    try {
      question();
    } catch (const Error& error) {
      answers_.refused.push_back(what + ": " + error.what());
    } catch (const std::exception& error) {
      answers_.wrong.push_back(what + ": threw " + error.what());
    }
  }

  void ask_store(Store& store) {
    if (options_.rebuild) ask("rebuild", [&] { store.rebuild_index(); });
    for (const SavedRun& run : truth_.runs()) {
      for (const SavedCheckpoint& saved : run.line) {
        if (!options_.only.empty() && !options_.only.contains(saved.record.id)) continue;
        ask("load " + describe(run, saved.record), [&] { ask_checkpoint(store, run, saved); });
      }
      if (options_.lists) ask("list " + run.name, [&] { ask_list(store, run); });
    }
    if (options_.lists) ask("runs", [&] { ask_runs(store); });
    ask("verify", [&] { answers_.report = store.verify({.threads = 1}); });
    if (!options_.resume) return;
    for (const SavedRun& run : truth_.runs()) {
      ask("resume " + run.name, [&] { ask_resume(store, run); });
    }
  }

  void ask_checkpoint(const Store& store, const SavedRun& run, const SavedCheckpoint& saved) {
    const Checkpoint checkpoint = store.open_checkpoint(saved.record);
    LoadOptions options;
    options.threads = 1;
    const std::string name = describe(run, saved.record);
    if (checkpoint.record() != saved.record) answers_.wrong.push_back(name + ": another record");
    if (find_value(checkpoint.values(), "progress/note") == nullptr) {
      answers_.wrong.push_back(name + ": a plain value is gone");
    }
    if (checkpoint.manifest().tensors.size() != saved.tensors.size()) {
      answers_.wrong.push_back(name + ": other tensors");
    }
    for (const auto& [tensor, elements] : saved.tensors) {
      if (checkpoint.read(tensor, options) != elements) {
        answers_.wrong.push_back(name + ": other bytes in " + tensor);
      }
    }
    answers_.loaded.insert(saved.record.id);
  }

  // Every checkpoint that is listed was saved, and what can be loaded is listed.
  void ask_list(const Store& store, const SavedRun& run) {
    std::set<Uuid> listed;
    for (const CheckpointRecord& record : store.checkpoints(run.id)) {
      const auto found = std::ranges::find_if(
          run.line, [&](const SavedCheckpoint& saved) { return saved.record == record; });
      if (found == run.line.end()) {
        answers_.wrong.push_back("list " + run.name + ": a checkpoint that never was");
      }
      listed.insert(record.id);
    }
    for (const SavedCheckpoint& saved : run.line) {
      if (answers_.loaded.contains(saved.record.id) && !listed.contains(saved.record.id)) {
        answers_.wrong.push_back("list: lacks " + describe(run, saved.record));
      }
    }
  }

  void ask_runs(const Store& store) {
    std::set<std::string> found;
    for (const RunRecord& run : store.runs()) found.insert(run.name);
    for (const SavedRun& run : truth_.runs()) {
      // Its name stands in every journal and every manifest.
      const bool known = std::ranges::any_of(run.line, [&](const SavedCheckpoint& saved) {
        return answers_.loaded.contains(saved.record.id);
      });
      if (found.erase(run.name) == 0 && known) answers_.wrong.push_back("runs: no " + run.name);
    }
    if (!found.empty()) answers_.wrong.push_back("runs: a run " + *found.begin());
  }

  void ask_resume(Store& store, const SavedRun& run) {
    std::filesystem::path journal;
    {
      ckp::Run resumed = store.resume_run(run.name);
      const auto& target = resumed.continued_from();
      // Not chosen by its bytes alone: what was passed over must have been said.
      const auto newest = std::find_if(run.line.rbegin(), run.line.rend(), [&](const auto& saved) {
        return answers_.loaded.contains(saved.record.id);
      });
      if (!target) {
        answers_.wrong.push_back("resume " + run.name + ": from nothing");
      } else if (newest == run.line.rend() || target->record().id != newest->record.id) {
        answers_.wrong.push_back("resume " + run.name + ": from epoch " +
                                 std::to_string(target->record().epoch));
      } else if (newest != run.line.rbegin() && resumed.skipped().empty()) {
        answers_.wrong.push_back("resume " + run.name + ": passed over the newest in silence");
      }
      journal = truth_.path() / "runs" / resumed.record().directory;
      for (const std::string& name : fs_.list(journal)) {
        const auto parsed = parse_journal_name(name);
        if (parsed && parsed->attempt == resumed.attempt()) journal /= name;
      }
    }
    fs_.remove(journal);  // the attempt never was
  }

  const SampleStore& truth_;
  FileSystem& fs_;
  const LookOptions& options_;
  Answers answers_;
};

}  // namespace

SampleStore::SampleStore(const std::filesystem::path& path, int salt, MoreSaves more)
    : path_(path) {
  Store store = Store::create(path);
  runs_.resize(2);
  {
    ckp::Run run = store.create_run(run_options("first"));
    runs_[0] = {run.record().id, "first", {save(run, 1, salt)}};
  }
  {
    ckp::Run run = store.resume_run("first");
    runs_[0].line.push_back(save(run, 2, salt));
    run.finish(RunStatus::completed);
  }
  ckp::Run run = store.create_run(run_options("second"));
  runs_[1] = {run.record().id, "second", {save(run, 3, salt)}};
  if (more == MoreSaves::none) return;
  const int version = more == MoreSaves::patch        ? patched_version
                      : more == MoreSaves::difference ? differing_version
                                                      : derived_version;
  runs_[1].line.push_back(save(run, version, salt));
}

std::vector<std::filesystem::path> SampleStore::files() const {
  std::vector<std::filesystem::path> all = packs();
  std::ranges::copy(journals(), std::back_inserter(all));
  all.push_back(path_ / "STORE");
  all.push_back(path_ / "lock");
  return all;
}

std::vector<std::filesystem::path> SampleStore::packs() const {
  std::vector<std::filesystem::path> all;
  for (const SavedRun& run : runs_) {
    for (const SavedCheckpoint& saved : run.line) all.push_back(pack_of(saved.record));
  }
  return all;
}

std::vector<std::filesystem::path> SampleStore::journals() const {
  std::vector<std::filesystem::path> all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path_ / "runs")) {
    if (parse_journal_name(entry.path().filename().string())) all.push_back(entry.path());
  }
  std::ranges::sort(all, {}, [](const auto& path) { return path.filename(); });
  return all;
}

std::filesystem::path SampleStore::pack_of(const CheckpointRecord& checkpoint) const {
  return path_ / "runs" / run_directory_name(checkpoint.run_name, checkpoint.run) /
         live_name(checkpoint);
}

const SavedCheckpoint* SampleStore::saved_in(const std::filesystem::path& pack) const {
  for (const SavedRun& run : runs_) {
    for (const SavedCheckpoint& saved : run.line) {
      if (pack_of(saved.record) == pack) return &saved;
    }
  }
  return nullptr;
}

bool Answers::finds(const std::filesystem::path& file) const {
  return report && std::ranges::any_of(report->findings, [&](const Finding& finding) {
           return finding.path == file.string() ||
                  finding.message.find(file.string()) != std::string::npos;
         });
}

bool Answers::notes(const std::filesystem::path& file) const {
  return report && std::ranges::any_of(report->notes, [&](const std::string& note) {
           return note.find(file.string()) != std::string::npos;
         });
}

bool Answers::has_no_store() const {
  return !report && std::ranges::any_of(refused, [](const std::string& message) {
    return message.starts_with("open: ") && message.find("STORE") != std::string::npos;
  });
}

Answers look(const SampleStore& truth, std::shared_ptr<FileSystem> fs, const LookOptions& options) {
  std::optional<Store> store;
  return Interview(truth, *fs, options).run([&]() -> Store& {
    StoreOptions store_options;
    store_options.file_system = fs;
    return store.emplace(Store::open(truth.path(), store_options));
  });
}

Answers look(const SampleStore& truth, FileSystem& fs, Store& store, const LookOptions& options) {
  return Interview(truth, fs, options).run([&]() -> Store& { return store; });
}

}  // namespace ckp::test

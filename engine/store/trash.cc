#include "store/trash.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "ckp/shell_word.h"
#include "store/identity.h"
#include "store/marks.h"

namespace ckp {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;

bool is_in_trash(const ScannedPack& pack) { return pack.name.in_trash(); }

// Of one that cannot be read, its name says what it can.
TrashedCheckpoint describe_trashed(StoreCore& core, const ScannedPack& file,
                                   const std::optional<RunRecord>& run,
                                   const RunDirectory& directory, const LaterFacts& facts) {
  TrashedCheckpoint one;
  try {
    one.checkpoint = read_checkpoint(core.fs(), file).record;
    facts.apply_to(one.checkpoint);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::newer_format) throw;
    one.checkpoint.id = file.name.uuid;
    one.checkpoint.run = directory.run;
    one.checkpoint.commit = file.name.commit;
    one.checkpoint.step = file.name.step;
    one.checkpoint.epoch = -1;
  }
  one.run = run ? run->name : directory.name;
  if (one.checkpoint.run_name.empty()) one.checkpoint.run_name = one.run;
  one.until_ns = file.name.trash_until * second_ns;
  if (const auto status = core.fs().status(file.path)) one.bytes = status->size;
  return one;
}

}  // namespace

std::int64_t trash_until(std::int64_t now_ns, std::int64_t saved_ns, std::int64_t trash_ns) {
  const std::int64_t from = std::max(now_ns, saved_ns) / second_ns;
  const std::int64_t seconds = trash_ns / second_ns + (trash_ns % second_ns == 0 ? 0 : 1);
  return std::clamp<std::int64_t>(from + seconds, 1, max_trash_until);
}

std::vector<ScannedPack> trash_files(FileSystem& fs, const StoreLayout& layout) {
  std::vector<ScannedPack> files;
  for (const std::string& name : list_run_directories(fs, layout)) {
    for (ScannedPack& pack : list_run(fs, layout, name).packs) {
      if (is_in_trash(pack)) files.push_back(std::move(pack));
    }
  }
  return files;
}

std::vector<TrashedCheckpoint> list_trash(StoreCore& core) {
  FileSystem& fs = core.fs();
  const LaterFacts facts = known_facts(fs, core.layout(), core.uuid()).value_or(LaterFacts{});
  std::vector<TrashedCheckpoint> all;
  for (const std::string& name : list_run_directories(fs, core.layout())) {
    const RunDirectory directory = list_run(fs, core.layout(), name);
    if (std::none_of(directory.packs.begin(), directory.packs.end(), is_in_trash)) continue;
    const auto run = read_run(fs, directory);
    for (const ScannedPack& file : directory.packs) {
      if (!is_in_trash(file)) continue;
      try {
        all.push_back(describe_trashed(core, file, run, directory, facts));
      } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found) throw;  // it has left meanwhile
      }
    }
  }
  return all;
}

void announce_trash(StoreCore& core) {
  const auto identity = identity_now(core.fs(), core.layout());
  format::Features features = identity.features;
  features.refuse |= format::feature::trash;
  write_features(core.fs(), core.layout(), identity, features);
}

void denounce_trash(StoreCore& core) noexcept {
  try {
    const auto identity = identity_now(core.fs(), core.layout());
    format::Features features = identity.features;
    features.refuse &= ~format::feature::trash;
    if (identity.features == features) return;
    // What cannot be reached may have some.
    if (!list_unreachable_runs(core.fs(), core.layout()).empty()) return;
    if (!trash_files(core.fs(), core.layout()).empty()) return;
    write_features(core.fs(), core.layout(), identity, features);
  } catch (const std::exception&) {
  }
}

CheckpointRecord find_in_trash(StoreCore& core, const Address& address,
                               const std::optional<RunRecord>& run) {
  const std::string root = core.layout().root.string();
  const bool by_id = address.kind == Address::Kind::id;
  std::vector<CheckpointRecord> found;
  for (TrashedCheckpoint& one : list_trash(core)) {
    if (run && one.checkpoint.run != run->id) continue;
    if (!by_id && one.checkpoint.epoch < 0) continue;
    if (by_id && !one.checkpoint.id.hex().starts_with(address.text)) continue;
    found.push_back(std::move(one.checkpoint));
  }
  if (found.empty() || address.kind == Address::Kind::alias) {
    throw Error(ErrorCode::not_found,
                fmt::format("{}: there is no such checkpoint in the trash; see: ckptool ls {} "
                            "--trash",
                            root, shell_word(root)));
  }
  if (run) return resolve(address, *run, found, root);
  if (found.size() == 1) return found.front();
  throw Error(ErrorCode::invalid_argument,
              fmt::format("'{}' is the beginning of several checkpoint ids; give more digits",
                          address.text));
}

std::string way_out_of_trash(StoreCore& core, const Address& address) {
  const std::vector<ScannedPack> files = trash_files(core.fs(), core.layout());
  const std::string root = shell_word(core.layout().root.string());
  if (address.kind == Address::Kind::id) {
    const bool there = std::any_of(files.begin(), files.end(), [&](const ScannedPack& file) {
      return file.name.uuid.hex().starts_with(address.text);
    });
    if (!there) return {};
    return fmt::format("; it is in the trash: ckptool undelete {} @{}", root, address.text);
  }
  if (files.empty() || address.run.empty()) return {};
  const auto run = find_run(core.fs(), core.layout(), address.run);
  const bool there = run && std::any_of(files.begin(), files.end(), [&](const ScannedPack& file) {
                       return file.path.parent_path() == run->path;
                     });
  if (!there) return {};
  return fmt::format("; the run has some in the trash: ckptool ls {} {} --trash", root,
                     shell_word(address.run));
}

}  // namespace ckp

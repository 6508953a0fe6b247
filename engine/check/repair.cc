// Repairing a store: its file STORE first, for without it nothing else has a name.
#include "ckp/repair.h"

#include <fmt/format.h>

#include <algorithm>

#include "check/carry_out.h"
#include "check/repair_plan.h"
#include "ckp/error.h"
#include "io/host.h"
#include "retention/prune.h"
#include "store/identity.h"
#include "store/marks.h"
#include "store/trash.h"

namespace ckp {
namespace {

// Older versions must not open the store then.
bool may_have_trash(FileSystem& fs, const StoreLayout& layout) {
  if (!fs.status(layout.runs())) return false;
  return !trash_files(fs, layout).empty() || !list_unreachable_runs(fs, layout).empty();
}

// `problem` is empty when the file is as it should be.
NewIdentity find_identity(FileSystem& fs, const StoreLayout& layout, Clock& clock) {
  NewIdentity found;
  try {
    found.seen = fs.status(layout.identity());
    if (found.seen) {
      found.identity = read_whole_identity(fs, layout);
      const Uuid claimed = found.identity.uuid;
      const auto rightful = rightful_uuid(fs, layout, claimed);
      if (!rightful) return found;
      found.problem = foreign_identity(layout, claimed, *rightful);
      found.identity = {};
    } else {
      found.problem = fmt::format("{}: the file is missing", layout.identity().string());
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    found.problem = fmt::format("{}: {}", layout.identity().string(), error.what());
  }
  // When the lock file and the marks are lost as well the store gets a new one: all that goes by it
  // is whose the index is, and that is made anew.
  const auto remembered = remembered_uuid(fs, layout);
  const auto marked = owner_of_marks(fs, layout);
  found.identity.uuid = remembered ? *remembered : marked ? *marked : random_uuid();
  if (fs.status(layout.marks()) || is_link_to_nowhere(fs, layout.marks()))
    found.identity.features.read_only = format::store_features.read_only;
  if (may_have_trash(fs, layout)) found.identity.features.refuse = format::feature::trash;
  found.identity.created_ns = clock.now_ns();
  return found;
}

bool lacks_runs(FileSystem& fs, const StoreLayout& layout) { return !fs.status(layout.runs()); }

// Without runs/ there is nothing to look at. What the index knows of is forgotten by another
// repair, when people have seen what that is.
RepairReport plan_runs(const StoreLayout& layout) {
  RepairStep step;
  step.action = RepairAction::make_runs;
  step.path = layout.runs().string();
  step.message = fmt::format("{}: the directory is missing, and every run with it", step.path);
  RepairReport report;
  report.steps.push_back(std::move(step));
  return report;
}

void make_runs(FileSystem& fs, const StoreLayout& layout) {
  fs.make_directory(layout.runs());
  fs.sync_directory(layout.root);
}

struct Prepared {
  std::unique_ptr<StoreCore> core;
  RepairPlan plan;
};

Prepared prepare(const std::filesystem::path& path, const RepairOptions& options,
                 const StoreOptions& store) {
  FileSystem& fs = *store.file_system;
  const StoreLayout layout{path};
  if (!can_repair(path, fs)) {
    throw Error(ErrorCode::not_found,
                fmt::format("{}: neither a store nor what is left of one", path.string()));
  }
  const NewIdentity found = find_identity(fs, layout, *store.clock);
  Prepared prepared;
  prepared.core = std::make_unique<StoreCore>(path, store, found.identity);
  prepared.core->check_writable();
  if (lacks_runs(fs, layout)) {
    prepared.plan.report = plan_runs(layout);
    return prepared;
  }
  prepared.plan = make_repair_plan(*prepared.core, options,
                                   found.problem.empty() ? std::nullopt : std::optional(found));
  if (prepared.plan.report.complete && !prepared.plan.nothing_to_do()) {
    check_can_be_carried_out(*prepared.core, prepared.plan);
  }
  return prepared;
}

}  // namespace

std::string_view to_string(RepairAction action) {
  switch (action) {
    case RepairAction::rewrite_identity:
      return "rewrite_identity";
    case RepairAction::make_runs:
      return "make_runs";
    case RepairAction::put_back:
      return "put_back";
    case RepairAction::rebuild_index:
      return "rebuild_index";
    case RepairAction::mend_marks:
      return "mend_marks";
    case RepairAction::mend_journal:
      return "mend_journal";
    case RepairAction::mend_pack:
      return "mend_pack";
    case RepairAction::salvage:
      return "salvage";
    case RepairAction::keep_chunks:
      return "keep_chunks";
    case RepairAction::forget:
      return "forget";
    case RepairAction::set_aside:
      return "set_aside";
    case RepairAction::leave:
      return "leave";
  }
  return "unknown";
}

bool RepairReport::restores_all() const {
  return std::all_of(steps.begin(), steps.end(),
                     [](const RepairStep& step) { return step.restores; });
}

bool RepairReport::can_do_nothing() const {
  return !steps.empty() && std::all_of(steps.begin(), steps.end(), [](const RepairStep& step) {
    return step.action == RepairAction::leave;
  });
}

bool RepairReport::repair_again() const {
  return std::any_of(steps.begin(), steps.end(), [](const RepairStep& step) {
    return step.action == RepairAction::put_back || step.action == RepairAction::make_runs;
  });
}

bool can_repair(const std::filesystem::path& path, FileSystem& fs) {
  const StoreLayout layout{path};
  if (fs.status(layout.identity())) return true;
  const auto runs = fs.status(layout.runs());
  if (!runs || !runs->is_directory) return false;
  return fs.status(layout.lock()) || !list_run_directories(fs, layout).empty();
}

RepairReport plan_repair(const std::filesystem::path& path, const RepairOptions& options,
                         const StoreOptions& store) {
  return prepare(path, options, store).plan.report;
}

RepairReport repair(const std::filesystem::path& path, const RepairOptions& options,
                    const StoreOptions& store) {
  Prepared prepared = prepare(path, options, store);  // P1
  RepairPlan& plan = prepared.plan;
  if (!plan.report.complete || plan.nothing_to_do()) return plan.report;
  if (lacks_runs(*store.file_system, StoreLayout{path})) {
    make_runs(*store.file_system, StoreLayout{path});
    return plan.report;
  }
  PruneOptions deleting;
  deleting.exclusive = options.exclusive;
  if (!plan.packs.empty()) check_may_delete(*prepared.core, deleting);
  carry_out(*prepared.core, plan);
  return plan.report;
}

}  // namespace ckp

#include "command.h"

#include <fmt/format.h>

#include "render.h"

namespace ckp::tool {

OpenedStore::OpenedStore(Context& context, const std::filesystem::path& path)
    : Store(Store::open(path, {.file_system = context.file_system})) {
  for (const std::string& note : notes()) complain("note: " + note);
}

OpenedStore::~OpenedStore() {
  try {
    if (const auto damage = index_damage()) complain("warning: " + *damage);
  } catch (const std::exception&) {
    // No memory for the message.
  }
}

std::vector<std::string> tell_missing(const Store& store, const RunRecord& run) {
  std::vector<std::string> missing = store.missing(run);
  for (const std::string& line : missing) {
    complain(fmt::format("warning: run {}: {}; run: ckptool verify {}", printable(run.name),
                         printable(line), shell_word(store.path().string())));
  }
  return missing;
}

void tell_unread(const Store& store, const MetricFollower& follower) {
  for (const std::string& line : follower.unread()) {
    complain(fmt::format("warning: {}; its points are missing here; run: ckptool verify {}",
                         printable(line), shell_word(store.path().string())));
  }
}

Command::Command(std::string name, std::string summary, std::string example)
    : name_(std::move(name)), summary_(std::move(summary)), example_(std::move(example)) {}

void Command::attach(CLI::App& program) {
  app_ = program.add_subcommand(name_, summary_);
  declare();
  flag("--json", json_, "Print one JSON document");
  flag("--quiet,-q", quiet_, "No progress, no confirmations");
  std::string footer = "Example:\n";
  for (const std::string& line : CLI::detail::split(example_, '\n')) footer += "  " + line + "\n";
  app_->footer(footer);
}

ExitCode Command::execute(Context& context) { return run(context); }

void Command::positional(const std::string& name, const std::string& help, bool many) {
  CLI::Option* added = app_->add_option(name, help);
  added->type_name("");
  if (many) added->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args();
  positionals_.push_back(added);
}

CLI::Option* Command::option(const std::string& name, const std::string& type, std::string& value,
                             const std::string& help) {
  return app_->add_option(name, value, help)->type_name(type);
}

CLI::Option* Command::options(const std::string& name, const std::string& type,
                              std::vector<std::string>& values, const std::string& help) {
  // One value each time it is given, so that it does not swallow the positionals behind it.
  return app_->add_option(name, values, help)
      ->type_name(type)
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
}

CLI::Option* Command::flag(const std::string& name, bool& value, const std::string& help) {
  return app_->add_flag(name, value, help);
}

void Command::store_positional(const std::string& help) {
  positional("STORE", help);
  option("--store", "DIR", store_, "The store, when it is not the first argument");
}

std::vector<std::string> Command::arguments() const {
  std::vector<std::string> values;
  for (const CLI::Option* each : positionals_) {
    if (each->count() == 0) continue;
    const std::vector<std::string> given = each->results();
    values.insert(values.end(), given.begin(), given.end());
  }
  return values;
}

StoreArgument Command::store_and_rest(Context& context, std::size_t min, std::size_t max,
                                      std::string_view what) const {
  StoreArgument found = find_store(arguments(), store_, max, *context.file_system);
  check_count(found.rest, min, max, what);
  return found;
}

void Command::print(Context& context, const Json& json, const std::string& text) const {
  context.output.text(json_ ? document(json) : text);
}

std::vector<std::unique_ptr<Command>> all_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  for (const auto make :
       {make_init,    make_runs,          make_ls,        make_show,    make_best,
        make_params,  make_metrics,       make_tail,      make_export,  make_artifacts,
        make_extract, make_diff,          make_drift,     make_bisect,  make_stats,
        make_report,  make_verify,        make_repair,    make_prune,   make_rm,
        make_policy,  make_undelete,      make_hold,      make_promote, make_aliases,
        make_tag,     make_metric,        make_note,      make_convert, make_import,
        make_digest,  make_rebuild_index, make_completion}) {
    commands.push_back(make());
  }
  return commands;
}

}  // namespace ckp::tool

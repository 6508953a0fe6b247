#include "environment/git_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <span>
#include <system_error>

#include "io/child_program.h"

namespace ckp {
namespace {

// Of `git status`: enough for the branch's lines and to see that something has changed.
constexpr std::size_t max_status = std::size_t{64} << 10;

bool is_in_work_tree(const std::filesystem::path& source) {
  if (const char* variable = std::getenv("GIT_DIR"); variable != nullptr && *variable != '\0') {
    return true;
  }
  std::error_code error;
  for (std::filesystem::path folder = source; !folder.empty(); folder = folder.parent_path()) {
    if (std::filesystem::exists(folder / ".git", error)) return true;
    if (folder == folder.parent_path()) break;
  }
  return false;
}

class Git {
 public:
  Git(std::filesystem::path source, std::chrono::milliseconds timeout)
      : source_(std::move(source)),
        timeout_(timeout),
        deadline_(std::chrono::steady_clock::now() + timeout) {}

  ChildResult run(const std::vector<std::string>& arguments, std::size_t max_output) const {
    // fsmonitor may be a program of the repository's.
    ChildProgram program{{"git", "-C", source_.string(), "-c", "core.fsmonitor=false"},
                         {"GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C"},
                         deadline_,
                         max_output};
    program.arguments.insert(program.arguments.end(), arguments.begin(), arguments.end());
    return run_child(program);
  }

  std::string complaint(const std::string& command, const ChildResult& result) const {
    std::string text = fmt::format("git {} {}", command, result.failure);
    if (result.failure == "gave no answer in time") {
      text += fmt::format(" ({} ms)", timeout_.count());
    }
    const std::string first = result.errors.substr(0, result.errors.find('\n'));
    return as_utf8(first.empty() ? text : text + ": " + first);
  }

 private:
  std::filesystem::path source_;
  std::chrono::milliseconds timeout_;
  std::chrono::steady_clock::time_point deadline_;
};

// "# branch.oid 0123...", "# branch.head main", then a line for each file that differs.
Value::Map facts_in_status(std::string_view text) {
  constexpr std::string_view commit = "# branch.oid ", branch = "# branch.head ";
  Value::Map facts{{"git_dirty", false}};
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.starts_with(commit) && line != "# branch.oid (initial)") {
      facts["git_commit"] = as_utf8(line.substr(commit.size()));
    } else if (line.starts_with(branch) && line != "# branch.head (detached)") {
      facts["git_branch"] = as_utf8(line.substr(branch.size()));
    } else if (!line.empty() && !line.starts_with('#')) {
      facts["git_dirty"] = true;
    }
  }
  return facts;
}

void add_diff(const Git& git, std::size_t max_diff, Value::Map& facts) {
  const ChildResult diff =
      git.run({"diff", "--no-ext-diff", "--no-textconv", "--no-color", "--binary", "--full-index",
               "--no-relative", "--src-prefix=a/", "--dst-prefix=b/", "HEAD"},
              max_diff);  // as `git apply` takes it, whatever the user's configuration says
  if (!diff.failure.empty()) {
    facts["git_error"] = git.complaint("diff", diff);
    return;
  }
  const auto bytes = std::as_bytes(std::span(diff.output));
  facts[std::string(git_diff_key)] = Value::Bytes(bytes.begin(), bytes.end());
  facts["git_diff_bytes"] = diff.output.size() + diff.dropped;
  if (diff.dropped > 0) facts["git_diff_cut"] = diff.output.size();
}

}  // namespace

Value::Map git_state(const CaptureOptions& options) {
  std::error_code error;
  const std::filesystem::path source = std::filesystem::absolute(options.source, error);
  const std::filesystem::path start =
      options.source.empty() ? std::filesystem::current_path(error) : source;
  if (error || !is_in_work_tree(start)) return {};
  const Git git(start, options.git_timeout);
  const ChildResult status =
      git.run({"status", "--porcelain=v2", "--branch", "--untracked-files=no"}, max_status);
  if (!status.failure.empty()) return {{"git_error", git.complaint("status", status)}};
  Value::Map facts = facts_in_status(status.output);
  if (facts.contains("git_commit") && facts["git_dirty"].as_bool()) {
    add_diff(git, options.max_diff, facts);
  }
  return facts;
}

std::string as_utf8(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    std::size_t size = std::min<std::size_t>(4, text.size());
    while (size > 0 && !is_utf8(text.substr(0, size))) --size;
    out += size == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(1, size));
  }
  return out;
}

}  // namespace ckp

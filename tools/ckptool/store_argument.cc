#include "store_argument.h"

#include <fmt/format.h>

#include <cstdlib>
#include <system_error>

#include "ckp/error.h"
#include "ckp/repair.h"
#include "ckp/store.h"
#include "exit_codes.h"
#include "render.h"

namespace ckp::tool {
namespace {

std::string no_store_at(FileSystem& fs, std::string_view path) {
  if (can_repair(path, fs)) {
    return fmt::format(
        "{}: the file STORE is missing, but the rest of a store is there; run: ckptool repair {}",
        printable(path), shell_word(path));
  }
  return fmt::format("{}: no store there; make one: ckptool init {}", printable(path),
                     shell_word(path));
}

bool looks_like_path(std::string_view argument) {
  return argument.find('/') != std::string_view::npos &&
         argument.find('@') == std::string_view::npos;
}

// A run's name may hold a '/', and then looks like a path.
[[noreturn]] void throw_not_there(FileSystem& fs, const std::string& argument, bool guessed) {
  std::string message = no_store_at(fs, argument);
  if (guessed) message += "; a run with '/' in its name is named after STORE or with --store";
  throw NoStore(message);
}

std::filesystem::path search_upward(FileSystem& fs, const std::vector<std::string>& arguments) {
  std::error_code error;
  const std::filesystem::path start = std::filesystem::current_path(error);
  for (std::filesystem::path folder = start; !folder.empty(); folder = folder.parent_path()) {
    if (Store::exists(folder, fs)) return folder;
    if (can_repair(folder, fs)) throw NoStore(no_store_at(fs, folder.string()));
    if (folder == folder.parent_path()) break;
  }
  std::string message;
  if (!arguments.empty()) message = fmt::format("{} is no store, and there is ", arguments[0]);
  message += fmt::format(
      "no store in {} or above it; name one: as the first argument, with --store, or in $CKPSTORE; "
      "make one: ckptool init STORE",
      start.string());
  throw NoStore(printable(message));
}

bool is_store_directory(const std::filesystem::path& folder, FileSystem& fs) {
  try {
    const auto runs = fs.status(folder / "runs");
    return runs && runs->is_directory && can_repair(folder, fs);
  } catch (const Error&) {
    return false;  // nobody may look into it
  }
}

}  // namespace

StoreArgument find_store(const std::vector<std::string>& arguments, const std::string& option,
                         std::size_t max_rest, FileSystem& fs) {
  if (!option.empty()) {
    if (!Store::exists(option, fs)) throw NoStore("--store " + no_store_at(fs, option));
    return {option, arguments};
  }
  if (!arguments.empty()) {
    const std::string& first = arguments.front();
    const bool there = !first.empty() && Store::exists(first, fs);
    const bool guessed = looks_like_path(first);
    if (!there && !first.empty() && can_repair(first, fs)) throw NoStore(no_store_at(fs, first));
    if (!there && (guessed || arguments.size() > max_rest)) throw_not_there(fs, first, guessed);
    if (there) return {first, {arguments.begin() + 1, arguments.end()}};
  }
  if (const char* variable = std::getenv("CKPSTORE"); variable != nullptr && *variable != '\0') {
    if (!Store::exists(variable, fs)) throw NoStore("$CKPSTORE: " + no_store_at(fs, variable));
    return {variable, arguments};
  }
  return {search_upward(fs, arguments), arguments};
}

void check_count(const std::vector<std::string>& rest, std::size_t min, std::size_t max,
                 std::string_view what) {
  if (rest.size() < min) throw UsageError(fmt::format("{} is missing", what));
  if (rest.size() > max) {
    throw UsageError(fmt::format("one argument too many: {}", printable(rest[max])));
  }
}

void check_outside_stores(const std::filesystem::path& file, FileSystem& fs) {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::absolute(file, error).parent_path();
  if (const auto real = std::filesystem::weakly_canonical(folder, error); !error) folder = real;
  for (; folder.has_relative_path(); folder = folder.parent_path()) {
    if (!is_store_directory(folder, fs)) continue;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: lies inside the store {}; choose a place outside of it",
                            printable(file.string()), printable(folder.string())));
  }
}

}  // namespace ckp::tool

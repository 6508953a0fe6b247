#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>

#include "ckp/environment.h"
#include "ckp/shell_word.h"
#include "environment/git_state.h"
#include "io/host.h"

namespace ckp {
namespace {

constexpr std::size_t max_command_line = std::size_t{16} << 10;

void put(Value::Map& facts, const char* key, std::string_view text) {
  if (!text.empty()) facts.emplace(key, as_utf8(text));
}

std::string compiler() {
#if defined(__clang__)
  return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("gcc {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

// What stands behind the first "KEY<separator>" at the beginning of a line of a file of Linux.
std::string value_in_file(const std::filesystem::path& path, std::string_view key, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t at = line.find(separator);
    if (at == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t\"", at + 1);
    const std::size_t end = line.find_last_not_of(" \t\"");
    return begin == std::string::npos ? "" : line.substr(begin, end + 1 - begin);
  }
  return "";
}

// Linux keeps the words apart by NULs.
std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string words{std::istreambuf_iterator<char>(file), {}};
  std::string text;
  for (std::size_t at = 0; at < words.size() && text.size() < max_command_line;) {
    const std::string word = words.substr(at, words.find('\0', at) - at);
    text += (at == 0 ? "" : " ") + shell_word(word);
    at += word.size() + 1;
  }
  if (text.size() > max_command_line) text = text.substr(0, max_command_line) + " ...";
  return text;
}

std::string slurm_job() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  const std::string array = variable("SLURM_ARRAY_JOB_ID"), task = variable("SLURM_ARRAY_TASK_ID");
  return array.empty() || task.empty() ? variable("SLURM_JOB_ID") : array + "_" + task;
}

// One directory for each GPU.
Value::List gpus() {
  Value::List models;
  std::error_code error;
  for (std::filesystem::directory_iterator at("/proc/driver/nvidia/gpus", error), end;
       !error && at != end; at.increment(error)) {
    const std::string model = value_in_file(at->path() / "information", "Model", ':');
    if (!model.empty()) models.emplace_back(as_utf8(model));
  }
  return models;
}

}  // namespace

Value::Map capture_environment(const Value::Map& own, const CaptureOptions& options) {
  Value::Map facts = own;
  std::error_code error;
  put(facts, "library", "ckpstore " CKP_VERSION);
  put(facts, "compiler", compiler());
  put(facts, "os", value_in_file("/etc/os-release", "PRETTY_NAME", '='));
  put(facts, "kernel", kernel_version());
  put(facts, "host", host_name());
  put(facts, "user", user_name());
  put(facts, "cpu", value_in_file("/proc/cpuinfo", "model name", ':'));
  facts.emplace("cores", std::int64_t{std::thread::hardware_concurrency()});
  if (const std::uint64_t memory = memory_size(); memory <= INT64_MAX) {
    facts.emplace("memory", memory);
  }
  if (Value::List models = gpus(); !models.empty()) facts.emplace("gpus", std::move(models));
  put(facts, "command_line", command_line());
  put(facts, "directory", std::filesystem::current_path(error).string());
  put(facts, "slurm_job", slurm_job());
  facts.merge(git_state(options));
  return facts;
}

}  // namespace ckp

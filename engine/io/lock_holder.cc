#include "io/lock_holder.h"

#include <charconv>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

namespace ckp {
namespace {

namespace stdfs = std::filesystem;

// Whether a line of /proc/PID/fdinfo/N says that this descriptor locks `byte`, as in
// "lock:	1: OFDLCK ADVISORY  WRITE -1 fe:00:393228 1024 1024".
bool locks(const std::string& line, std::uint64_t byte) {
  if (!line.starts_with("lock:") || line.find("OFDLCK") == std::string::npos) return false;
  std::istringstream words(line);
  std::vector<std::string> all;
  for (std::string word; words >> word;) all.push_back(word);
  if (all.size() < 2) return false;
  const std::string& lowest = all[all.size() - 2];
  const std::string& highest = all.back();
  std::uint64_t from = 0, to = UINT64_MAX;  // "EOF" is no number
  std::from_chars(lowest.data(), lowest.data() + lowest.size(), from);
  std::from_chars(highest.data(), highest.data() + highest.size(), to);
  return from <= byte && byte <= to;
}

bool holds(const stdfs::path& process, const stdfs::path& file, std::uint64_t byte) {
  std::error_code error;
  for (stdfs::directory_iterator entry(process / "fd", error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code gone;
    if (stdfs::read_symlink(entry->path(), gone) != file) continue;
    std::ifstream info(process / "fdinfo" / entry->path().filename());
    for (std::string line; std::getline(info, line);) {
      if (locks(line, byte)) return true;
    }
  }
  return false;
}

}  // namespace

std::optional<std::uint32_t> lock_holder(const stdfs::path& file, std::uint64_t byte) {
  std::error_code error;
  const stdfs::path real = stdfs::canonical(file, error);
  if (error) return std::nullopt;
  for (stdfs::directory_iterator entry("/proc", error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::uint32_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size()) continue;
    if (holds(entry->path(), real, byte)) return pid;
  }
  return std::nullopt;
}

}  // namespace ckp

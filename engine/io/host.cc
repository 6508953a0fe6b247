#include "io/host.h"

#include <pwd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <limits>

#include "ckp/error.h"

namespace ckp {

namespace {

Uuid draw_uuid() {
  Uuid uuid;
  // Up to 256 bytes come in one piece.
  ssize_t got = 0;
  do {
    got = ::getrandom(uuid.bytes.data(), uuid.bytes.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(uuid.bytes.size())) {
    throw Error(ErrorCode::io, "cannot get random bytes for a new id from the kernel (getrandom)");
  }
  return uuid;
}

}  // namespace

Uuid random_uuid() {
  Uuid uuid = draw_uuid();
  while (uuid.short_hex().find_first_of("abcdef") == std::string::npos) uuid = draw_uuid();
  return uuid;
}

Uuid boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  std::getline(file, text);
  std::erase(text, '-');
  return Uuid::from_hex(text).value_or(Uuid{});
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return std::string(name.data()).substr(0, 63);
}

std::uint32_t process_id() { return static_cast<std::uint32_t>(::getpid()); }

std::uint32_t user_id() { return static_cast<std::uint32_t>(::geteuid()); }

// Kept: when glibc has no memory for its list of users it loads that anew, and keeps the old one.
std::string user_name() {
  thread_local std::uint32_t known_id = 0;
  thread_local std::string known;
  if (!known.empty() && known_id == user_id()) return known;
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(user_id(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return std::to_string(user_id());
  known = found->pw_name;
  known_id = user_id();
  return known;
}

std::string kernel_version() {
  utsname name{};
  if (::uname(&name) != 0) return "";
  return std::string(name.sysname) + " " + name.release + " " + name.machine;
}

std::uint64_t memory_size() {
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page <= 0) return std::numeric_limits<std::uint64_t>::max();
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page);
}

bool is_own_directory(const std::filesystem::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         status.st_uid == ::geteuid() && (status.st_mode & S_IWOTH) == 0;
}

}  // namespace ckp

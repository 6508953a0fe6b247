#include "io/posix_error.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

namespace ckp {
namespace {

// What the reader of the message can do about it.
std::string_view advice(int error) {
  switch (error) {
    case ENOSPC:
      return "; free some space or prune the store, nothing that was saved before is affected";
    case EDQUOT:
      return "; free some space, prune the store or ask for a larger quota, nothing that was saved "
             "before is affected";
    case EFBIG:
      return "; raise the limit on the size of files (ulimit -f), nothing that was saved before is "
             "affected";
    case EROFS:
      return "; the file system is mounted read-only, choose another place or remount it";
    case EACCES:
    case EPERM:
      return "; check owner and permissions of the file and of its directory";
    case EMFILE:
    case ENFILE:
      return "; raise the limit on open files (ulimit -n)";
    case ENOMEM:
      return "; free some memory, or raise the limits of this process (ulimit -v)";
    case ENOLCK:
    case ENOSYS:
      return "; if this is a network file system, mount it with locking (NFS: without nolock; "
             "Lustre: with flock)";
    case ESTALE:
      return "; the file was removed by another client of this network file system, try again";
    case EIO:
      return "; the device reports a failure, look at the kernel's log and run: ckptool verify";
    default:
      return "";
  }
}

}  // namespace

ErrorCode code_of_errno(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorCode::out_of_space;
    case EROFS:
    case EACCES:
    case EPERM:
      return ErrorCode::read_only;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return ErrorCode::out_of_resources;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:  // symbolic links that lead to each other lead nowhere
      return ErrorCode::not_found;
    case EEXIST:
    case ENOTEMPTY:
      return ErrorCode::already_exists;
    default:
      return ErrorCode::io;
  }
}

std::string describe_errno(std::string_view operation, const std::filesystem::path& path,
                           int error) {
  return fmt::format("cannot {} {}: {}{}", operation, path.string(),
                     std::generic_category().message(error), advice(error));
}

void throw_errno(std::string_view operation, const std::filesystem::path& path, int error) {
  throw Error(code_of_errno(error), describe_errno(operation, path, error));
}

}  // namespace ckp

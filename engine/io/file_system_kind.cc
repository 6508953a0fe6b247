#include "io/file_system_kind.h"

#include <fmt/format.h>
#include <sys/vfs.h>

#include <cerrno>

#include "io/posix_error.h"

namespace ckp {
namespace {

struct Known {
  std::uint64_t number;
  const char* name;
  bool remote;
};

// Numbers: statfs(2) and the kernels' linux/magic.h; Lustre, GPFS, BeeGFS, PanFS and the virtual
// machines' shared folders: those systems' own sources.
constexpr Known known_kinds[] = {
    {0xEF53, "ext4", false},        {0x58465342, "xfs", false},   {0x9123683E, "btrfs", false},
    {0x2FC12FC1, "zfs", false},     {0x01021994, "tmpfs", false}, {0x858458F6, "ramfs", false},
    {0x794C7630, "overlay", false}, {0xF2F52010, "f2fs", false},  {0x4D44, "fat", false},
    {0x2011BAB0, "exfat", false},   {0x6969, "nfs", true},        {0xFF534D42, "cifs", true},
    {0xFE534D42, "smb2", true},     {0x517B, "smb", true},        {0x0BD00BD0, "lustre", true},
    {0x65735546, "fuse", true},     {0x01021997, "9p", true},     {0x00C36400, "ceph", true},
    {0x47504653, "gpfs", true},     {0x5346414F, "afs", true},    {0x6B414653, "afs", true},
    {0x73757245, "coda", true},     {0x01161970, "gfs2", true},   {0x7461636F, "ocfs2", true},
    {0xAAD7AAEA, "panfs", true},    {0x19830326, "beegfs", true}, {0x786F4256, "vboxsf", true},
    {0xBACBACBC, "vmhgfs", true},
};

}  // namespace

FileSystemKind kind_of_number(std::uint64_t number) {
  for (const Known& known : known_kinds) {
    if (known.number == number) return {known.name, known.remote};
  }
  return {fmt::format("{:#x}", number), false};
}

FileSystemKind file_system_kind(const std::filesystem::path& path) {
  struct statfs info {};
  while (::statfs(path.c_str(), &info) != 0) {
    if (errno != EINTR) throw_errno("look at the file system of", path, errno);
  }
  // 32 bits: the field is signed, and of another width, on some machines.
  return kind_of_number(static_cast<std::uint32_t>(info.f_type));
}

}  // namespace ckp

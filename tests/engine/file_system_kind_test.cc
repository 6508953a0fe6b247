#include "io/file_system_kind.h"

#include <gtest/gtest.h>

#include "ckp/error.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

TEST(FileSystemKindTest, NetworkAndUserSpaceFileSystemsAreRemote) {
  const std::pair<std::uint64_t, const char*> remote[] = {{0x6969, "nfs"},
                                                          {0xFF534D42, "cifs"},
                                                          {0x0BD00BD0, "lustre"},
                                                          {0x65735546, "fuse"},
                                                          {0x01021997, "9p"}};
  for (const auto& [number, name] : remote) {
    EXPECT_EQ(kind_of_number(number).name, name);
    EXPECT_TRUE(kind_of_number(number).remote) << name;
  }
}

TEST(FileSystemKindTest, LocalOnesAreNotNorIsOneWithoutAName) {
  EXPECT_EQ(kind_of_number(0xEF53).name, "ext4");
  EXPECT_FALSE(kind_of_number(0xEF53).remote);
  EXPECT_EQ(kind_of_number(0x12345).name, "0x12345");
  EXPECT_FALSE(kind_of_number(0x12345).remote);
}

TEST(FileSystemKindTest, TheRealFileSystemAnswers) {
  const test::TemporaryDirectory directory;
  EXPECT_FALSE(posix_file_system()->kind(directory.path()).name.empty());
  test::expect_error(ErrorCode::not_found, "absent",
                     [&] { posix_file_system()->kind(directory.path() / "absent"); });
}

}  // namespace
}  // namespace ckp

// How the map of the index's file grows, in processes of little address space: there it starts
// small, so that growing happens early. It is there from the first change on.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "ckp/error.h"
#include "engine/index_samples.h"
#include "index/tables.h"
#include "support/child_process.h"
#include "support/sanitizer.h"

namespace ckp {
namespace {

using test::IndexFiles;

// Lets this process have so many bytes of address space more, and no others.
void limit_address_space(std::uint64_t more) {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0) throw std::runtime_error("getrlimit");
  limit.rlim_cur = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + more;
  if (::setrlimit(RLIMIT_AS, &limit) != 0) throw std::runtime_error("setrlimit");
}

void fill(Tables& tables, std::uint8_t first, std::uint8_t last) {
  const std::vector<std::byte> value(4 << 20, std::byte{7});
  for (std::uint8_t i = first; i < last; ++i) {
    const std::array key{static_cast<std::byte>(i)};
    tables.write([&](TableWriter& writer) { writer.put(Table::chunks, key, value); });
  }
}

std::uint64_t count_rows(const Tables& tables) {
  std::uint64_t count = 0;
  tables.read([&](TableReader& reader) {
    reader.scan(Table::chunks, {}, [&](BytesView, BytesView) { return ++count > 0; });
  });
  return count;
}

constexpr bool can_limit_address_space = !test::sanitized;
constexpr const char* no_limit = "sanitizers need terabytes of address space";
constexpr std::uint64_t little = std::uint64_t{100} << 20, plenty = std::uint64_t{2} << 30;

TEST(IndexMap, GrowsWhenItIsFullAndWhenAnotherProcessHasGrownTheFile) {
  if (!can_limit_address_space) GTEST_SKIP() << no_limit;
  IndexFiles place;
  test::Gate opened, filled;
  test::ChildProcess other([&] {
    limit_address_space(little);
    const auto tables = Tables::open(*place.fs, place.index(), place.lock());
    tables->write([](TableWriter&) {});
    limit_address_space(plenty);
    opened.open();
    filled.pass();
    const std::uint64_t rows = count_rows(*tables);
    fill(*tables, 40, 41);
    return rows == 40 ? static_cast<int>(count_rows(*tables)) : 1;
  });
  opened.pass();
  test::ChildProcess writer([&] {
    limit_address_space(little);
    const auto tables = Tables::open(*place.fs, place.index(), place.lock());
    tables->write([](TableWriter&) {});
    limit_address_space(plenty);
    fill(*tables, 0, 40);
    return static_cast<int>(count_rows(*tables));
  });
  EXPECT_EQ(writer.wait(), 40);
  filled.open();
  EXPECT_EQ(other.wait(), 41);
  EXPECT_GT(std::filesystem::file_size(place.data()), std::uint64_t{160} << 20);
}

TEST(IndexMap, SaysWhatToRaiseWhenTheAddressSpaceIsTooSmall) {
  if (!can_limit_address_space) GTEST_SKIP() << no_limit;
  IndexFiles place;
  test::ChildProcess child([&] {
    limit_address_space(little);
    const auto tables = Tables::open(*place.fs, place.index(), place.lock());
    try {
      fill(*tables, 0, 40);
    } catch (const Error& error) {
      const bool clear = error.code() == ErrorCode::out_of_space &&
                         std::string_view(error.what()).find("ulimit -v") != std::string_view::npos;
      return clear && count_rows(*tables) > 5 ? 0 : 1;
    }
    return 2;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(Tables::open(*place.fs, place.index(), place.lock())->check_pages().empty());
}

}  // namespace
}  // namespace ckp

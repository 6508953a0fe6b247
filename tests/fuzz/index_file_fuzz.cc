// The data file of the index, as our own walk over its pages sees it before LMDB may, and as
// questions read it.
#include "fuzz/memory_file_system.h"
#include "fuzz/mutate.h"
#include "fuzz/target.h"
#include "index/data_file.h"
#include "index/paged_tables.h"

namespace {

// Every row of every table, in both directions.
void read_all(const ckp::PagedTables& tables) {
  using namespace ckp;
  const auto reader = tables.reader();
  for (std::size_t i = 0; i < table_count; ++i) {
    std::size_t up = 0, down = 0;
    std::vector<std::byte> last;
    const auto scan = [&] {
      reader->scan(static_cast<Table>(i), {}, [&](ckp::BytesView key, ckp::BytesView value) {
        const auto found = reader->get(static_cast<Table>(i), key);
        fuzz::require(found && std::ranges::equal(*found, value), "a row that is there is found");
        last.assign(key.begin(), key.end());
        return ++up > 0;
      });
      reader->scan_back(static_cast<Table>(i), last,
                        [&](ckp::BytesView, ckp::BytesView) { return ++down > 0; });
    };
    if (fuzz::takes(scan)) fuzz::require(up == down + (up > 0), "both directions agree");
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckp;
  const fuzz::MemoryFile file(std::as_bytes(std::span(data, size)));
  const bool whole = fuzz::takes([&] { check_data_file(file, PageCheck::all); });
  const bool start = fuzz::takes([&] { check_data_file(file, PageCheck::directory); });
  fuzz::require(start || !whole, "what is right as a whole is right at its start");
  const bool readable =
      fuzz::takes([&] { read_all(PagedTables(std::make_shared<fuzz::MemoryFile>(file))); });
  fuzz::require(readable || !whole, "what is right as a whole can be read");
  return 0;
}

// LMDB has no checksums: there is nothing to make right.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  const auto leave = [](std::span<std::byte>, ckp::fuzz::Repair) {};
  return ckp::fuzz::mutate_and_repair(data, size, max_size, seed, 8, leave);
}

#include "store/reserve.h"

#include <cstdint>
#include <exception>

namespace ckp {
namespace {

constexpr std::uint64_t reserve_size = 8u << 20;

}  // namespace

void make_reserve(FileSystem& fs, const StoreLayout& layout) noexcept {
  try {
    fs.open(layout.reserve(), OpenMode::create)->reserve(0, reserve_size);
  } catch (const std::exception&) {
    // Full, or no memory: the next prune that frees something makes it again.
    try {
      fs.remove(layout.reserve());
    } catch (const std::exception&) {
    }
  }
}

ReleasedReserve::ReleasedReserve(FileSystem& fs, const StoreLayout& layout)
    : fs_(fs), layout_(layout) {
  fs_.remove(layout_.reserve());
}

ReleasedReserve::~ReleasedReserve() { make_reserve(fs_, layout_); }

}  // namespace ckp

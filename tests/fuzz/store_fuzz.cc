// STORE, and the state block of the lock file. They are told apart by their magics.
#include <algorithm>

#include "ckp/format/store_identity.h"
#include "fuzz/mutate.h"
#include "fuzz/target.h"
#include "support/fixed_header.h"

namespace ckp::fuzz {
namespace {

using format::StateBlock;
using format::StoreIdentity;

bool same(const StateBlock& a, const StateBlock& b) {
  return a.store == b.store && a.boot == b.boot && a.begin == b.begin && a.end == b.end &&
         a.run_directory == b.run_directory && a.stamp == b.stamp && a.holder_pid == b.holder_pid &&
         a.holder_host == b.holder_host;
}

void fuzz_one(BytesView bytes) {
  if (const auto store = refused_or([&] { return format::decode_store_identity(bytes); })) {
    require(bytes.size() == StoreIdentity::size, "STORE has one size");
    require(std::ranges::equal(format::encode_store_identity(*store), bytes),
            "STORE has one encoding");
  }
  // Never an error.
  const auto block = format::decode_state_block(bytes);
  if (!block) return;
  require(block->run_directory.size() <= StateBlock::max_directory, "a directory has one name");
  require(block->run_directory.find('/') == std::string::npos, "a directory is no path");
  const auto again = format::decode_state_block(format::encode_state_block(*block));
  require(again && same(*again, *block), "a state block survives being written again");
}

}  // namespace
}  // namespace ckp::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ckp::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  using namespace ckp;
  const auto repair = [](std::span<std::byte> bytes, fuzz::Repair) {
    const bool is_block = bytes.size() >= format::StateBlock::size;
    const std::size_t whole = is_block ? format::StateBlock::size : format::StoreIdentity::size;
    if (bytes.size() >= whole) test::reseal(bytes.first(whole));
  };
  return fuzz::mutate_and_repair(data, size, max_size, seed, 8, repair);
}

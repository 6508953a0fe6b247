#include "store/identity.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "ckp/error.h"
#include "io/durable_file.h"
#include "store/store_lock.h"

namespace ckp {
namespace {

std::optional<format::StateBlock> any_state_block(FileSystem& fs, const StoreLayout& layout) {
  if (!fs.status(layout.lock())) return std::nullopt;
  std::array<std::byte, format::StateBlock::size> bytes{};
  const std::size_t size = fs.open(layout.lock(), OpenMode::read)->read_at(0, bytes);
  return format::decode_state_block(std::span(bytes).first(size));
}

}  // namespace

format::StoreIdentity read_whole_identity(FileSystem& fs, const StoreLayout& layout) {
  std::vector<std::byte> bytes(format::StoreIdentity::size + 1);
  bytes.resize(fs.open(layout.identity(), OpenMode::read)->read_at(0, bytes));
  return format::decode_store_identity(bytes);
}

format::StoreIdentity identity_now(FileSystem& fs, const StoreLayout& layout) {
  std::vector<std::byte> bytes(format::StoreIdentity::size);
  bytes.resize(fs.open(layout.identity(), OpenMode::read)->read_at(0, bytes));
  try {
    return format::decode_store_identity(bytes);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", layout.identity().string(), error.what()));
  }
}

void write_features(FileSystem& fs, const StoreLayout& layout, format::StoreIdentity identity,
                    const format::Features& features) {
  if (identity.features == features) return;
  identity.features = features;
  const auto bytes = format::encode_store_identity(identity);
  write_durably(fs, layout.identity(), true, [&](FileAppender& file) { file.append(bytes); });
}

std::optional<Uuid> remembered_uuid(FileSystem& fs, const StoreLayout& layout) {
  const auto block = any_state_block(fs, layout);
  return block ? std::optional(block->store) : std::nullopt;
}

std::optional<Uuid> rightful_uuid(FileSystem& fs, const StoreLayout& layout, const Uuid& claimed) {
  try {
    const auto block = any_state_block(fs, layout);
    if (!block || block->store == claimed) return std::nullopt;
    if (!same_file(block->stamp, fs.status(layout.index() / index_data_file))) return std::nullopt;
    return block->store;
  } catch (const Error&) {
    return std::nullopt;  // a lock file that cannot be read now says nothing
  }
}

std::string foreign_identity(const StoreLayout& layout, const Uuid& claimed, const Uuid& rightful) {
  return fmt::format(
      "{}: this is the file of another store, {}; by the lock file and the index "
      "this store is {}",
      layout.identity().string(), claimed.hex(), rightful.hex());
}

}  // namespace ckp

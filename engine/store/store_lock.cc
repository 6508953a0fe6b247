#include "store/store_lock.h"

#include <algorithm>
#include <array>

#include "io/host.h"
#include "store/lock_wait.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

std::optional<format::StateBlock> read_block(const File& file, const Uuid& store) {
  std::array<std::byte, format::StateBlock::size> bytes{};
  const std::size_t size = file.read_at(0, bytes);
  auto block = format::decode_state_block(std::span(bytes).first(size));
  if (block && block->store != store) return std::nullopt;
  return block;
}

}  // namespace

std::optional<format::StateBlock> read_state_block(FileSystem& fs, const StoreLayout& layout,
                                                   const Uuid& store) {
  if (!fs.status(layout.lock())) return std::nullopt;
  return read_block(*fs.open(layout.lock(), OpenMode::read), store);
}

bool same_file(const format::IndexStamp& stamp, const std::optional<FileStatus>& status) {
  return status && stamp.device == status->device && stamp.inode == status->inode &&
         stamp.size == status->size && stamp.change_time_ns == status->changed_ns;
}

StoreLock::StoreLock(FileSystem& fs, const StoreLayout& layout, const Uuid& store,
                     std::int64_t timeout_ms)
    : layout_(layout), file_(fs.open(layout.lock(), OpenMode::create)) {
  lock_in_time(*file_, lock_byte::store, LockKind::exclusive, timeout_ms, "store");  // L1
  const auto block = read_block(*file_, store);
  block_ = block.value_or(format::StateBlock{});
  block_.store = store;
  number_ = std::max(block_.begin, block_.end);
  if (!is_of_this_place(fs)) number_ = std::max(number_, largest_number_in_names(fs));
  if (!block) block_.run_directory = all_runs;
  if (!block || block_.begin != block_.end) finish_renames(fs);  // L2
}

// A lock file may be older than the names beside it: copied with its store while commits went on,
// or put back from a backup. So its numbers count only with the index file that they were written
// for, as it was then.
bool StoreLock::is_of_this_place(FileSystem& fs) const {
  if (block_.boot.is_nil() || block_.boot != boot_id() || block_.begin != block_.end) return false;
  return same_file(block_.stamp, fs.status(layout_.index() / index_data_file));
}

void StoreLock::finish_renames(FileSystem& fs) const {
  for (const std::string& directory : list_runs(fs, layout_)) {
    if (block_.run_directory != directory && block_.run_directory != all_runs) continue;
    const auto status = fs.status(layout_.run(directory));
    if (status && status->is_directory) fs.sync_directory(layout_.run(directory));
  }
  if (block_.run_directory == all_runs) fs.sync_directory(layout_.runs());
}

std::uint64_t StoreLock::begin(std::string_view run_directory) {
  block_.begin = ++number_;
  block_.run_directory = run_directory;
  // Without a boot others have committed and told no index: that must not be forgotten.
  write_block(block_.boot.is_nil() ? Uuid{} : boot_id());
  return number_;
}

void StoreLock::end(const format::IndexStamp& stamp) {
  block_.begin = block_.end = number_;
  block_.run_directory.clear();
  block_.stamp = stamp;
  write_block(boot_id());
}

// Without a boot nobody believes the index that the stamp belongs to, until it is resynced.
void StoreLock::end_without_index() {
  block_.begin = block_.end = number_;
  block_.run_directory.clear();
  write_block(Uuid{});
}

void StoreLock::write_block(const Uuid& boot) {
  block_.boot = boot;
  block_.holder_pid = process_id();
  block_.holder_host = host_name();
  file_->write_at(0, format::encode_state_block(block_));
}

std::uint64_t StoreLock::largest_number_in_names(FileSystem& fs) const {
  std::uint64_t largest = 0;
  for (const std::string& directory : list_runs(fs, layout_)) {
    const auto status = fs.status(layout_.run(directory));
    if (!status || !status->is_directory) continue;
    for (const std::string& name : fs.list(layout_.run(directory))) {
      if (const auto pack = parse_pack_name(name)) {
        largest = std::max({largest, pack->commit, pack->began, pack->retired});
      }
    }
  }
  return largest;
}

}  // namespace ckp

// Names on disk. See spec/store.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "ckp/records.h"
#include "ckp/uuid.h"

namespace ckp {

// Bytes of the lock file that are locked; the state block lies before them.
namespace lock_byte {
constexpr std::uint64_t store = 1024;
constexpr std::uint64_t index_gate = 1025;
constexpr std::uint64_t index_data = 1026;
constexpr std::uint64_t hold = 1027;
constexpr std::uint64_t deletion = 1028;
}  // namespace lock_byte

// The byte of a journal or temporary pack that its owner holds.
constexpr std::uint64_t owner_lock_byte = 0;

// The index's one file that holds data, below StoreLayout::index().
constexpr std::string_view index_data_file = "data.mdb";

struct StoreLayout {
  std::filesystem::path root;
  std::filesystem::path identity() const { return root / "STORE"; }
  std::filesystem::path marks() const { return root / "marks"; }
  std::filesystem::path lock() const { return root / "lock"; }
  std::filesystem::path reserve() const { return root / "reserve"; }
  std::filesystem::path runs() const { return root / "runs"; }
  std::filesystem::path index() const { return root / "index"; }
  std::filesystem::path run(std::string_view directory) const { return runs() / directory; }
  std::filesystem::path set_aside() const { return root / "set-aside"; }
};

// No store comes this far by counting. A name with a larger number is somebody else's file: after
// the largest of all, numbers would begin again at zero, below every checkpoint that is there.
constexpr std::uint64_t max_commit = std::uint64_t{1} << 62;
constexpr std::uint32_t max_attempt = std::uint32_t{1} << 31;
// In the year 2262: the last second that nanoseconds can tell.
constexpr std::int64_t max_trash_until = 9'223'372'036;

// The life of a pack's file, told by its name.
enum class PackState { temporary, live, retired, dead };

struct PackName {
  PackState state = PackState::live;
  Uuid uuid;
  std::uint64_t commit = 0;   // live, retired, dead
  std::int64_t step = 0;      // live, retired, dead
  std::uint64_t began = 0;    // temporary: the commit number when its save registered
  std::uint64_t retired = 0;  // retired: the commit number of its retiring
  // Retired into the trash: seconds since 1970 until which it is kept as a whole. 0: not there.
  std::int64_t trash_until = 0;
  bool in_trash() const { return state == PackState::retired && trash_until > 0; }
  // One that a user can have, now or after an undelete: all that it needs must stay.
  bool is_kept() const { return state == PackState::live || in_trash(); }
  friend bool operator==(const PackName&, const PackName&) = default;
};
std::string to_file_name(const PackName& name);
// The name of a live checkpoint's pack.
std::string live_name(const CheckpointRecord& checkpoint);
std::optional<PackName> parse_pack_name(std::string_view file_name);

struct JournalName {
  std::uint32_t attempt = 0;
  Uuid journal;
  friend bool operator==(const JournalName&, const JournalName&) = default;
};
std::string to_file_name(const JournalName& name);
std::optional<JournalName> parse_journal_name(std::string_view file_name);

// "cnn-lr3-<32 hex digits>": up to 40 characters of the run's name made of [a-z0-9._-], then its
// id.
std::string run_directory_name(std::string_view run_name, const Uuid& run);
// The id at the end of a run directory's name.
std::optional<Uuid> parse_run_directory(std::string_view directory);

}  // namespace ckp

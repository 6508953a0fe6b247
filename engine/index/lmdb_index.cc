// The tables on LMDB 0.9: the only file that knows it. What bites there, and the answer:
// - its locks fail between containers with equal pids, on double opens and after fork: MDB_NOLOCK,
//   under the index lock;
// - the map has a fixed size: it starts at 1 GiB, doubles when full, halves when the address space
//   is limited, and only changes while this process has no transaction;
// - named tables are opened once, before anything else;
// - a commit waits for the disk twice, for its pages and for the header that leads to them. The
//   second wait is left to the next commit (MDB_NOMETASYNC): until then the pages of the commit
//   before are intact, and a power cut may lead back to them.
#include <fmt/format.h>
#include <lmdb.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "ckp/error.h"
#include "index/environment.h"

namespace ckp {
namespace {

constexpr std::size_t first_map_size = std::size_t{1} << 30;
constexpr std::size_t smallest_map_size = std::size_t{1} << 20;

ErrorCode code_of(int rc) {
  switch (rc) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_PANIC:
    case MDB_INCOMPATIBLE:
    case MDB_NOTFOUND:
      return ErrorCode::corrupt;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case MDB_MAP_FULL:
      return ErrorCode::out_of_space;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::read_only;
    case MDB_BAD_VALSIZE:
      return ErrorCode::invalid_argument;
    default:
      return ErrorCode::io;
  }
}

std::string describe(const std::filesystem::path& directory, std::string_view operation, int rc) {
  return fmt::format("{}: {} of the index failed: {}", directory.string(), operation,
                     mdb_strerror(rc));
}

MDB_val to_val(BytesView bytes) { return {bytes.size(), const_cast<std::byte*>(bytes.data())}; }
BytesView to_view(const MDB_val& value) {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

using Handles = std::array<MDB_dbi, table_count>;
constexpr MDB_dbi absent = 0;  // LMDB's own, so never a table's: an older version made the index

class LmdbTransaction : public Transaction {
 public:
  LmdbTransaction(const Handles& handles, const std::filesystem::path& directory)
      : handles_(handles), directory_(directory) {}
  ~LmdbTransaction() override {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }
  LmdbTransaction(const LmdbTransaction&) = delete;
  LmdbTransaction& operator=(const LmdbTransaction&) = delete;

  // What LMDB says.
  int begin(MDB_env* env, bool write) {
    return mdb_txn_begin(env, nullptr, write ? 0 : MDB_RDONLY, &txn_);
  }

  void commit() override { check(mdb_txn_commit(std::exchange(txn_, nullptr)), "a commit"); }

  std::optional<BytesView> get(Table table, BytesView key) override {
    MDB_val k = to_val(key), value;
    const int rc = mdb_get(txn_, handle(table), &k, &value);
    if (rc == MDB_NOTFOUND) return std::nullopt;
    check(rc, "a look-up");
    return to_view(value);
  }

  void scan(Table table, BytesView from, const Visit& visit) override {
    MDB_cursor* opened = nullptr;
    check(mdb_cursor_open(txn_, handle(table), &opened), "a scan");
    const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> cursor(opened, mdb_cursor_close);
    MDB_val key = to_val(from), value;
    int rc = mdb_cursor_get(opened, &key, &value, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
    while (rc == 0 && visit(to_view(key), to_view(value))) {
      rc = mdb_cursor_get(opened, &key, &value, MDB_NEXT);
    }
    if (rc != MDB_NOTFOUND) check(rc, "a scan");
  }

  void scan_back(Table table, BytesView below, const Visit& visit) override {
    MDB_cursor* opened = nullptr;
    check(mdb_cursor_open(txn_, handle(table), &opened), "a scan");
    const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> cursor(opened, mdb_cursor_close);
    MDB_val key = to_val(below), value;
    int rc = mdb_cursor_get(opened, &key, &value, MDB_SET_RANGE);
    if (rc == 0 || rc == MDB_NOTFOUND) {
      rc = mdb_cursor_get(opened, &key, &value, rc == 0 ? MDB_PREV : MDB_LAST);
    }
    while (rc == 0 && visit(to_view(key), to_view(value))) {
      rc = mdb_cursor_get(opened, &key, &value, MDB_PREV);
    }
    if (rc != MDB_NOTFOUND) check(rc, "a scan");
  }

  void put(Table table, BytesView key, BytesView value) override {
    MDB_val k = to_val(key), v = to_val(value);
    check(mdb_put(txn_, handle(table), &k, &v, 0), "a change");
  }

  bool erase(Table table, BytesView key) override {
    MDB_val k = to_val(key);
    const int rc = mdb_del(txn_, handle(table), &k, nullptr);
    if (rc != MDB_NOTFOUND) check(rc, "a change");
    return rc == 0;
  }

 private:
  MDB_dbi handle(Table table) const {
    const MDB_dbi found = handles_[static_cast<std::size_t>(table)];
    if (found != absent) return found;
    throw Error(ErrorCode::corrupt, fmt::format("{}: the index has no table {}",
                                                directory_.string(), to_string(table)));
  }
  void check(int rc, std::string_view operation) const {
    if (rc == MDB_MAP_FULL) throw MapFull{};
    if (rc != 0) throw Error(code_of(rc), describe(directory_, operation, rc));
  }

  MDB_txn* txn_ = nullptr;
  const Handles& handles_;
  const std::filesystem::path& directory_;
};

class LmdbEnvironment : public Environment {
 public:
  LmdbEnvironment(const std::filesystem::path& directory, bool fresh) : directory_(directory) {
    reopen(first_map_size, fresh);
  }
  ~LmdbEnvironment() override { close(); }
  LmdbEnvironment(const LmdbEnvironment&) = delete;
  LmdbEnvironment& operator=(const LmdbEnvironment&) = delete;

  std::unique_ptr<Transaction> begin(bool write) override {
    // The object comes first: without memory for it, a transaction that has begun would never end.
    auto transaction = std::make_unique<LmdbTransaction>(handles_, directory_);
    const int rc = transaction->begin(env_, write);
    if (rc == MDB_MAP_RESIZED) return nullptr;
    if (rc != 0) throw Error(code_of(rc), describe(directory_, "beginning a transaction", rc));
    return transaction;
  }

  void grow() override {
    const std::size_t before = map_size_;
    if (mdb_env_set_mapsize(env_, 2 * before) == 0) {
      map_size_ = 2 * before;
      return;
    }
    reopen(2 * before, false);  // the old map is gone
    if (map_size_ > before) return;
    throw Error(ErrorCode::out_of_space,
                fmt::format("{}: the index needs more than {} bytes of address space, which this "
                            "process cannot have; raise ulimit -v",
                            directory_.string(), before));
  }

  bool is_open() const override { return env_ != nullptr; }
  void forget() override { env_ = nullptr; }
  std::uint64_t file_size() const override { return (info().me_last_pgno + 1) * page_size_; }

 private:
  // With a map of `size`, or a half, a quarter, ... where the address space is limited.
  void reopen(std::size_t size, bool fresh) {
    int rc = ENOMEM;
    for (; rc == ENOMEM && size >= smallest_map_size; size /= 2) {
      close();
      map_size_ = size;
      rc = mdb_env_create(&env_);
      if (rc == 0) rc = mdb_env_set_maxdbs(env_, table_count);
      if (rc == 0) rc = mdb_env_set_mapsize(env_, size);
      if (rc == 0)
        rc = mdb_env_open(env_, directory_.c_str(), MDB_NOLOCK | MDB_NOTLS | MDB_NOMETASYNC, 0664);
    }
    MDB_stat main{};
    if (rc == 0) rc = mdb_env_stat(env_, &main);
    if (rc != 0) fail(rc);
    page_size_ = main.ms_psize;
    open_tables(fresh);
  }

  MDB_envinfo info() const {
    MDB_envinfo result{};
    mdb_env_info(env_, &result);
    return result;
  }

  void open_tables(bool fresh) {
    MDB_txn* txn = nullptr;
    int rc = mdb_txn_begin(env_, nullptr, fresh ? 0 : MDB_RDONLY, &txn);
    if (rc != 0) fail(rc);
    for (std::size_t i = 0; i < table_count && rc == 0; ++i) {
      const std::string name(to_string(static_cast<Table>(i)));
      rc = mdb_dbi_open(txn, name.c_str(), fresh ? MDB_CREATE : 0, &handles_[i]);
      if (rc == MDB_NOTFOUND) {
        handles_[i] = absent;
        rc = 0;
      }
    }
    if (rc == 0) {
      rc = mdb_txn_commit(txn);
    } else {
      mdb_txn_abort(txn);
    }
    if (rc != 0) fail(rc);
  }

  [[noreturn]] void fail(int rc) {
    close();
    throw Error(code_of(rc), describe(directory_, "opening", rc));
  }

  void close() {
    if (env_ != nullptr) mdb_env_close(std::exchange(env_, nullptr));
  }

  const std::filesystem::path directory_;
  MDB_env* env_ = nullptr;
  std::size_t map_size_ = 0;
  std::uint64_t page_size_ = 0;
  Handles handles_{};
};

}  // namespace

std::unique_ptr<Environment> Environment::open(const std::filesystem::path& directory, bool fresh) {
  return std::make_unique<LmdbEnvironment>(directory, fresh);
}

}  // namespace ckp

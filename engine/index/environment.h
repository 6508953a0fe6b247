// An LMDB environment with its map, for one thread at a time and without any locking: tables.cc
// sees to that. Free of LMDB's own types.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "index/tables.h"

namespace ckp {

// Thrown by changes when the map is full: abort, grow, and once more from the start.
struct MapFull {};

// One transaction; aborted unless committed.
class Transaction : public TableWriter {
 public:
  // Throws MapFull, or Error; the transaction is over either way.
  virtual void commit() = 0;
};

class Environment {
 public:
  // Opens the environment in an existing directory. `fresh`: makes the tables.
  static std::unique_ptr<Environment> open(const std::filesystem::path& directory, bool fresh);
  virtual ~Environment() = default;

  // Nothing when the map must grow first, because another process has made the file larger.
  virtual std::unique_ptr<Transaction> begin(bool write) = 0;
  // Doubles the map, or throws Error(out_of_space). There must be no transaction.
  virtual void grow() = 0;
  virtual bool is_open() const = 0;  // not, when growing failed badly
  // Leaves everything as it is, for a forked child; unusable afterwards.
  virtual void forget() = 0;

  // What the data file's headers say, which must be there; its size must be at least this before a
  // transaction begins.
  virtual std::uint64_t file_size() const = 0;
};

}  // namespace ckp

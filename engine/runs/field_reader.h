// Reading the fields of a record that is stored as a Value map.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/digest.h"
#include "ckp/uuid.h"
#include "ckp/value.h"

namespace ckp {

Value::Bytes uuid_bytes(const Uuid& uuid);
Value::Bytes digest_bytes(const Digest& digest);

// A key that is absent leaves its target as it is; one of the wrong type or out of range is
// Error(corrupt) that names the record, the field, what was expected and what was found. Keys that
// nobody asks for are skipped: a later version may have written them.
class FieldReader {
 public:
  // `value` outlives the reader.
  FieldReader(const Value& value, std::string what);
  FieldReader(const Value::Map& map, std::string what) : map_(map), what_(std::move(what)) {}

  void read(std::string_view key, std::string& out) const;
  void read(std::string_view key, bool& out) const;
  void read(std::string_view key, std::int64_t& out) const;
  void read(std::string_view key, std::uint32_t& out) const;
  void read(std::string_view key, std::uint64_t& out) const;
  void read(std::string_view key, double& out) const;
  void read(std::string_view key, Uuid& out) const;
  void read(std::string_view key, std::optional<Uuid>& out) const;  // null is absent, too
  void read(std::string_view key, Digest& out) const;
  void read(std::string_view key, Value::Map& out) const;
  void read(std::string_view key, std::map<std::string, double>& out) const;
  void read(std::string_view key, std::vector<std::string>& out) const;
  // The list or map at `key`, or nullptr.
  const Value::List* list(std::string_view key) const { return get<Value::List>(key, "a list"); }
  const Value::Map* map(std::string_view key) const { return get<Value::Map>(key, "a map"); }
  const std::string* text(std::string_view key) const { return get<std::string>(key, "text"); }
  // Throws Error(corrupt).
  [[noreturn]] void refuse(std::string_view key, std::string_view expected,
                           std::string_view found) const;

 private:
  template <class T>
  const T* get(std::string_view key, std::string_view expected) const {
    const auto at = map_.find(key);
    if (at == map_.end()) return nullptr;
    const T* found = at->second.get_if<T>();
    if (found == nullptr) refuse_type(key, expected, at->second);
    return found;
  }
  [[noreturn]] void refuse_type(std::string_view key, std::string_view expected,
                                const Value& found) const;
  std::span<const std::byte> sixteen_bytes(const Value::Bytes& bytes, std::string_view key) const;

  const Value::Map& map_;
  std::string what_;
};

}  // namespace ckp

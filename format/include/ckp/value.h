// Plain values of a state dict, and their encoding as CBOR (RFC 8949).
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ckp {

// null, boolean, integer, double, string, bytes, list or map with string keys. A value type:
// copies are deep. Used for user values in a checkpoint, run parameters and journal records.
class Value {
 public:
  using Bytes = std::vector<std::byte>;
  using List = std::vector<Value>;
  using Map = std::map<std::string, Value, std::less<>>;
  using Variant =
      std::variant<std::monostate, bool, std::int64_t, double, std::string, Bytes, List, Map>;

  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool value) : data_(value) {}
  Value(int value) : data_(std::int64_t{value}) {}
  Value(std::int64_t value) : data_(value) {}
  // Throws Error(invalid_argument) above 2^63 - 1.
  Value(std::uint64_t value);
  Value(double value) : data_(value) {}
  Value(const char* value) : data_(std::string(value)) {}
  Value(std::string value) : data_(std::move(value)) {}
  Value(std::string_view value) : data_(std::string(value)) {}
  Value(Bytes value) : data_(std::move(value)) {}
  Value(List value) : data_(std::move(value)) {}
  Value(Map value) : data_(std::move(value)) {}

  const Variant& variant() const { return data_; }
  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&data_);
  }
  template <class T>
  T* get_if() {
    return std::get_if<T>(&data_);
  }
  // The number as a double, when it is an integer or a double; otherwise nullptr-like nothing.
  bool is_number() const;
  double as_double() const;     // integer or double, else Error(invalid_argument)
  std::int64_t as_int() const;  // integer, else Error(invalid_argument)
  bool as_bool() const;         // boolean, else Error(invalid_argument)
  const std::string& as_string() const;
  const Bytes& as_bytes() const;
  const List& as_list() const;
  const Map& as_map() const;

  // Map access: the member, or nullptr when this is no map or has no such key.
  const Value* find(std::string_view key) const;
  // Map access: the member, made when absent (a null becomes a map first).
  Value& operator[](std::string_view key);

  // Doubles compare by their bits, so that a NaN equals itself and -0 differs from 0.
  friend bool operator==(const Value& a, const Value& b);

 private:
  Variant data_;
};

// Deterministic CBOR: definite lengths, shortest integers, doubles always as 8 bytes (bit exact),
// map keys in byte order.
std::vector<std::byte> to_cbor(const Value& value);

// Parses exactly one item that fills `bytes`. Any well-formed deterministic-or-not CBOR of the
// kinds above is taken; half and single floats widen; tags are skipped. Throws Error(corrupt),
// the message naming the byte offset, for: nesting over limits::cbor_depth, lengths beyond the
// input, indefinite lengths, keys that are no strings or repeat, invalid UTF-8, integers outside
// int64, trailing bytes.
Value from_cbor(std::span<const std::byte> bytes);

// Whether `text` is valid UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view text);

}  // namespace ckp

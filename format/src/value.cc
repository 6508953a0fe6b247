#include "ckp/value.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <limits>

#include "ckp/error.h"

namespace ckp {
namespace {

[[noreturn]] void wrong_kind(std::string_view expected, const Value& found) {
  constexpr std::array<std::string_view, std::variant_size_v<Value::Variant>> names{
      "null", "a boolean", "an integer", "a double", "a string", "bytes", "a list", "a map"};
  throw Error(ErrorCode::invalid_argument, fmt::format("value: expected {}, found {}", expected,
                                                       names[found.variant().index()]));
}

template <class T>
const T& expect(const Value& value, std::string_view expected) {
  const T* found = value.get_if<T>();
  if (found == nullptr) wrong_kind(expected, value);
  return *found;
}

}  // namespace

Value::Value(std::uint64_t value) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("value: integer {} is above 2^63 - 1; store it as a string", value));
  }
  data_ = static_cast<std::int64_t>(value);
}

bool Value::is_number() const {
  return std::holds_alternative<std::int64_t>(data_) || std::holds_alternative<double>(data_);
}

double Value::as_double() const {
  if (const auto* integer = get_if<std::int64_t>()) return static_cast<double>(*integer);
  return expect<double>(*this, "a number");
}

std::int64_t Value::as_int() const { return expect<std::int64_t>(*this, "an integer"); }
bool Value::as_bool() const { return expect<bool>(*this, "a boolean"); }
const std::string& Value::as_string() const { return expect<std::string>(*this, "a string"); }
const Value::Bytes& Value::as_bytes() const { return expect<Bytes>(*this, "bytes"); }
const Value::List& Value::as_list() const { return expect<List>(*this, "a list"); }
const Value::Map& Value::as_map() const { return expect<Map>(*this, "a map"); }

const Value* Value::find(std::string_view key) const {
  const Map* map = get_if<Map>();
  if (map == nullptr) return nullptr;
  const auto found = map->find(key);
  return found == map->end() ? nullptr : &found->second;
}

Value& Value::operator[](std::string_view key) {
  if (is_null()) data_ = Map{};
  Map* map = get_if<Map>();
  if (map == nullptr) wrong_kind("a map", *this);
  const auto found = map->find(key);
  return found != map->end() ? found->second : map->emplace(key, Value{}).first->second;
}

bool operator==(const Value& a, const Value& b) {
  const double* left = a.get_if<double>();
  const double* right = b.get_if<double>();
  if (left != nullptr && right != nullptr) {
    return std::bit_cast<std::uint64_t>(*left) == std::bit_cast<std::uint64_t>(*right);
  }
  return a.data_ == b.data_;
}

}  // namespace ckp

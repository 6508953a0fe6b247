#include "runs/field_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "ckp/error.h"
#include "ckp/format/wire.h"

namespace ckp {
namespace {

constexpr std::array<std::string_view, 8> kind_names{"null", "a boolean", "an integer", "a double",
                                                     "text", "bytes",     "a list",     "a map"};

std::string_view kind_of(const Value& value) { return kind_names.at(value.variant().index()); }

const Value::Map& as_map_or_throw(const Value& value, const std::string& what) {
  const auto* map = value.get_if<Value::Map>();
  if (map == nullptr) {
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: expected a map, found {}", what, kind_of(value)));
  }
  return *map;
}

}  // namespace

Value::Bytes uuid_bytes(const Uuid& uuid) { return {uuid.bytes.begin(), uuid.bytes.end()}; }

Value::Bytes digest_bytes(const Digest& digest) {
  format::Writer writer;
  writer.digest(digest);
  return writer.release();
}

FieldReader::FieldReader(const Value& value, std::string what)
    : map_(as_map_or_throw(value, what)), what_(std::move(what)) {}

void FieldReader::refuse(std::string_view key, std::string_view expected,
                         std::string_view found) const {
  throw Error(ErrorCode::corrupt,
              fmt::format("{}: field \"{}\": expected {}, found {}", what_, key, expected, found));
}

void FieldReader::refuse_type(std::string_view key, std::string_view expected,
                              const Value& found) const {
  refuse(key, expected, kind_of(found));
}

void FieldReader::read(std::string_view key, std::string& out) const {
  if (const auto* found = get<std::string>(key, "text")) out = *found;
}

void FieldReader::read(std::string_view key, bool& out) const {
  if (const auto* found = get<bool>(key, "a boolean")) out = *found;
}

void FieldReader::read(std::string_view key, std::int64_t& out) const {
  if (const auto* found = get<std::int64_t>(key, "an integer")) out = *found;
}

void FieldReader::read(std::string_view key, std::uint32_t& out) const {
  const auto* found = get<std::int64_t>(key, "an integer");
  if (found == nullptr) return;
  if (*found < 0 || *found > std::numeric_limits<std::uint32_t>::max()) {
    refuse(key, "0 to 2^32 - 1", std::to_string(*found));
  }
  out = static_cast<std::uint32_t>(*found);
}

void FieldReader::read(std::string_view key, std::uint64_t& out) const {
  const auto* found = get<std::int64_t>(key, "an integer");
  if (found == nullptr) return;
  if (*found < 0) refuse(key, "0 or more", std::to_string(*found));
  out = static_cast<std::uint64_t>(*found);
}

void FieldReader::read(std::string_view key, double& out) const {
  if (const auto* found = get<double>(key, "a double")) out = *found;
}

std::span<const std::byte> FieldReader::sixteen_bytes(const Value::Bytes& bytes,
                                                      std::string_view key) const {
  if (bytes.size() != 16) refuse(key, "16 bytes", fmt::format("{} bytes", bytes.size()));
  return bytes;
}

void FieldReader::read(std::string_view key, Uuid& out) const {
  const auto* found = get<Value::Bytes>(key, "16 bytes");
  if (found == nullptr) return;
  std::ranges::copy(sixteen_bytes(*found, key), out.bytes.begin());
}

void FieldReader::read(std::string_view key, std::optional<Uuid>& out) const {
  const auto at = map_.find(key);
  if (at == map_.end() || at->second.is_null()) return;
  read(key, out.emplace());
}

void FieldReader::read(std::string_view key, Digest& out) const {
  const auto* found = get<Value::Bytes>(key, "16 bytes");
  if (found == nullptr) return;
  out = format::Reader(sixteen_bytes(*found, key), what_).digest();
}

void FieldReader::read(std::string_view key, Value::Map& out) const {
  if (const auto* found = get<Value::Map>(key, "a map")) out = *found;
}

void FieldReader::read(std::string_view key, std::map<std::string, double>& out) const {
  const auto* found = get<Value::Map>(key, "a map");
  if (found == nullptr) return;
  out.clear();
  for (const auto& [name, value] : *found) {
    const double* number = value.get_if<double>();
    if (number == nullptr) refuse(fmt::format("{}/{}", key, name), "a double", kind_of(value));
    out.emplace(name, *number);
  }
}

void FieldReader::read(std::string_view key, std::vector<std::string>& out) const {
  const auto* found = list(key);
  if (found == nullptr) return;
  out.clear();
  for (const Value& value : *found) {
    const std::string* text = value.get_if<std::string>();
    if (text == nullptr) refuse(key, "a list of text", kind_of(value));
    out.push_back(*text);
  }
}

}  // namespace ckp

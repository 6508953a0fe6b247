// The CBOR profile of spec/store.md. Written here rather than taken from a library because the
// input is not trusted: depth, lengths, keys and text are checked while parsing, once, and doubles
// keep every bit, which a detour through a JSON value would lose.
#include <fmt/format.h>

#include <bit>
#include <limits>
#include <type_traits>

#include "ckp/error.h"
#include "ckp/format/limits.h"
#include "ckp/value.h"

namespace ckp {
namespace {

using format::limits::cbor_depth;

enum Major : unsigned {
  unsigned_integer = 0,
  negative_integer = 1,
  byte_string = 2,
  text_string = 3,
  array = 4,
  map = 5,
  tag = 6,
  simple = 7
};

constexpr unsigned simple_false = 20;
constexpr unsigned simple_true = 21;
constexpr unsigned simple_null = 22;
constexpr unsigned half_float = 25;
constexpr unsigned single_float = 26;
constexpr unsigned double_float = 27;
constexpr unsigned indefinite_length = 31;

class Encoder {
 public:
  std::vector<std::byte> release() { return std::move(out_); }

  void item(const Value& value, std::size_t depth) {
    std::visit([&](const auto& alternative) { put(alternative, depth); }, value.variant());
  }

 private:
  void put(std::monostate, std::size_t) { byte(simple << 5 | simple_null); }
  void put(bool value, std::size_t) { byte(simple << 5 | (value ? simple_true : simple_false)); }
  void put(std::int64_t value, std::size_t) {
    const auto bits = static_cast<std::uint64_t>(value);
    value < 0 ? head(negative_integer, ~bits) : head(unsigned_integer, bits);
  }
  void put(double value, std::size_t) {
    byte(simple << 5 | double_float);
    big_endian(std::bit_cast<std::uint64_t>(value), 8);
  }
  void put(const std::string& value, std::size_t) { text(value, "string"); }
  void put(const Value::Bytes& value, std::size_t) {
    head(byte_string, value.size());
    out_.insert(out_.end(), value.begin(), value.end());
  }
  void put(const Value::List& value, std::size_t depth) {
    open(array, value.size(), depth);
    for (const Value& element : value) item(element, depth + 1);
  }
  void put(const Value::Map& value, std::size_t depth) {
    open(map, value.size(), depth);
    for (const auto& [key, element] : value) {
      text(key, "key");
      item(element, depth + 1);
    }
  }

  void open(Major major, std::uint64_t count, std::size_t depth) {
    if (depth >= cbor_depth) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("value: lists and maps nest deeper than {} levels", cbor_depth));
    }
    head(major, count);
  }

  void text(std::string_view value, std::string_view what) {
    if (!is_utf8(value)) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("value: a {} of {} bytes is not valid UTF-8; store it as bytes", what,
                              value.size()));
    }
    head(text_string, value.size());
    const auto bytes = std::as_bytes(std::span(value.data(), value.size()));
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }

  void head(Major major, std::uint64_t argument) {
    const unsigned high = major << 5;
    if (argument < 24) return byte(high | static_cast<unsigned>(argument));
    const unsigned log2 = argument <= 0xff      ? 0
                          : argument <= 0xffff  ? 1
                          : argument >> 32 == 0 ? 2
                                                : 3;
    byte(high | (24 + log2));
    big_endian(argument, 1u << log2);
  }

  void big_endian(std::uint64_t value, unsigned size) {
    while (size-- > 0) byte(static_cast<unsigned>(value >> (8 * size) & 0xff));
  }
  void byte(unsigned value) { out_.push_back(static_cast<std::byte>(value)); }

  std::vector<std::byte> out_;
};

// Widens an IEEE float by its bits, so that a signalling NaN stays one.
double widen(std::uint64_t bits, unsigned exponent_bits, unsigned fraction_bits) {
  const std::uint64_t fraction = bits & ((std::uint64_t{1} << fraction_bits) - 1);
  const auto highest = (1u << exponent_bits) - 1;
  const auto exponent = static_cast<unsigned>(bits >> fraction_bits) & highest;
  const std::uint64_t sign = bits >> (exponent_bits + fraction_bits) & 1;
  std::uint64_t wide = fraction << (52 - fraction_bits);
  if (exponent == highest) {
    wide |= std::uint64_t{0x7ff} << 52;
  } else if (exponent != 0) {
    wide |= std::uint64_t{exponent + 1023 - (highest >> 1)} << 52;
  } else if (fraction != 0) {  // a denormal, which a double holds as a normal number
    const auto shift = static_cast<unsigned>(std::countl_zero(wide)) - 11;
    wide = (wide << shift) & ((std::uint64_t{1} << 52) - 1);
    wide |= std::uint64_t{1024 - (highest >> 1) - shift} << 52;
  }
  return std::bit_cast<double>(wide | sign << 63);
}

class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Value document() {
    Value value = item(0);
    if (offset_ != bytes_.size()) {
      fail(offset_, fmt::format("{} bytes follow the item", bytes_.size() - offset_));
    }
    return value;
  }

 private:
  struct Head {
    std::size_t at;  // offset of the head, for messages
    unsigned major;
    unsigned info;
    std::uint64_t argument;
  };

  [[noreturn]] static void fail(std::size_t at, std::string_view why) {
    throw Error(ErrorCode::corrupt, fmt::format("CBOR: byte {}: {}", at, why));
  }

  std::uint64_t big_endian(std::size_t at, unsigned size) {
    if (size > left()) fail(at, fmt::format("the input ends at byte {}", bytes_.size()));
    std::uint64_t value = 0;
    while (size-- > 0) value = value << 8 | std::to_integer<std::uint64_t>(bytes_[offset_++]);
    return value;
  }

  Head head() {
    const std::size_t at = offset_;
    const auto first = static_cast<unsigned>(big_endian(at, 1));
    Head head{.at = at, .major = first >> 5, .info = first & 31, .argument = first & 31};
    if (head.info == indefinite_length) fail(at, "indefinite lengths are not allowed");
    if (head.info > 27) fail(at, fmt::format("reserved length form {}", head.info));
    if (head.info >= 24) head.argument = big_endian(at, 1u << (head.info - 24));
    return head;
  }

  Value item(std::size_t depth) {
    Head next = head();
    while (next.major == tag) next = head();
    switch (next.major) {
      case unsigned_integer:
      case negative_integer:
        return integer(next);
      case byte_string: {
        const auto bytes = string_bytes(next, "byte string");
        return Value::Bytes(bytes.begin(), bytes.end());
      }
      case text_string:
        return std::string(text(next));
      case array:
        return list(next, depth);
      case map:
        return members(next, depth);
      default:
        return simple_value(next);
    }
  }

  static Value integer(const Head& head) {
    if (head.argument > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      fail(head.at, "integer outside -2^63 ... 2^63 - 1");
    }
    const bool negative = head.major == negative_integer;
    return static_cast<std::int64_t>(negative ? ~head.argument : head.argument);
  }

  static Value simple_value(const Head& head) {
    switch (head.info) {
      case simple_false:
        return false;
      case simple_true:
        return true;
      case simple_null:
        return nullptr;
      case half_float:
        return widen(head.argument, 5, 10);
      case single_float:
        return widen(head.argument, 8, 23);
      case double_float:
        return std::bit_cast<double>(head.argument);
      default:
        fail(head.at, fmt::format("simple value {} is not null or a boolean", head.argument));
    }
  }

  std::span<const std::byte> string_bytes(const Head& head, std::string_view what) {
    expect_left(head, what, "bytes", head.argument, 1);
    const auto bytes = bytes_.subspan(offset_, static_cast<std::size_t>(head.argument));
    offset_ += bytes.size();
    return bytes;
  }

  std::string_view text(const Head& head) {
    const auto bytes = string_bytes(head, "text string");
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!is_utf8(text)) fail(head.at, "text string is not valid UTF-8");
    return text;
  }

  Value list(const Head& head, std::size_t depth) {
    expect_left(head, "array", "items", head.argument, 1);
    expect_depth(head, depth);
    Value::List list;
    list.reserve(static_cast<std::size_t>(head.argument));
    for (std::uint64_t i = 0; i < head.argument; ++i) list.push_back(item(depth + 1));
    return list;
  }

  Value members(const Head& head, std::size_t depth) {
    expect_left(head, "map", "members", head.argument, 2);
    expect_depth(head, depth);
    Value::Map members;
    for (std::uint64_t i = 0; i < head.argument; ++i) {
      const Head key_head = this->head();
      if (key_head.major != text_string) fail(key_head.at, "map key is not a text string");
      const std::string_view key = text(key_head);
      const std::size_t before = members.size();
      const auto place = members.try_emplace(members.end(), std::string(key));
      if (members.size() == before) fail(key_head.at, fmt::format("map key \"{}\" repeats", key));
      place->second = item(depth + 1);
    }
    return members;
  }

  // Each of `count` things takes at least `size` bytes: a length is not believed, nor anything
  // allocated for it, when the input cannot hold it.
  void expect_left(const Head& head, std::string_view what, std::string_view things,
                   std::uint64_t count, std::size_t size) const {
    if (count > left() / size) {
      fail(head.at, fmt::format("{} of {} {}, but the input ends at byte {}", what, count, things,
                                bytes_.size()));
    }
  }

  static void expect_depth(const Head& head, std::size_t depth) {
    if (depth >= cbor_depth) {
      fail(head.at, fmt::format("lists and maps nest deeper than {} levels", cbor_depth));
    }
  }

  std::size_t left() const { return bytes_.size() - offset_; }

  std::span<const std::byte> bytes_;
  std::size_t offset_ = 0;
};

}  // namespace

std::vector<std::byte> to_cbor(const Value& value) {
  Encoder encoder;
  encoder.item(value, 0);
  return encoder.release();
}

Value from_cbor(std::span<const std::byte> bytes) { return Decoder(bytes).document(); }

}  // namespace ckp

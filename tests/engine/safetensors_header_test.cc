#include "convert/safetensors_header.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "ckp/error.h"
#include "support/seed.h"

namespace ckp::safetensors {
namespace {

constexpr std::string_view one = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

// The message of the error that `work` throws, after its code: "corrupt: ...".
template <class Work>
std::string error_of(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return fmt::format("{}: {}", to_string(error.code()), error.what());
  }
  return "no error";
}

std::string decode_error(std::string_view json, std::uint64_t data_size) {
  return error_of([&] { decode_header(json, data_size, "m.safetensors"); });
}

std::string tensor_json(std::string_view fields) {
  return fmt::format(R"({{"a":{{{}}}}})", fields);
}

TEST(SafetensorsHeader, ReadsTensorsInTheOrderOfTheirData) {
  const Header header = decode_header(
      R"({"b":{"dtype":"U8","shape":[],"data_offsets":[4,5]},"__metadata__":{"k":"v"},)"
      R"("a":{"data_offsets":[0,4],"shape":[1,2],"dtype":"BF16"}}  )",
      5, "m");
  ASSERT_EQ(header.tensors.size(), 2u);
  EXPECT_EQ(header.tensors[0], (Tensor{"a", DType::bfloat16, {1, 2}, 0, 4}));
  EXPECT_EQ(header.tensors[1], (Tensor{"b", DType::uint8, {}, 4, 5}));
  EXPECT_EQ(header.metadata->at("k"), "v");
}

TEST(SafetensorsHeader, TellsAbsentFromEmptyMetadata) {
  EXPECT_FALSE(decode_header("{}", 0, "m").metadata.has_value());
  EXPECT_FALSE(decode_header(R"({"__metadata__":null})", 0, "m").metadata.has_value());
  EXPECT_TRUE(decode_header(R"({"__metadata__":{}})", 0, "m").metadata.has_value());
}

TEST(SafetensorsHeader, WritesTheReferenceLayout) {
  Header header;
  header.metadata.emplace();
  header.metadata->emplace("k\n", "\"v\"");
  header.tensors = {{"z", DType::float32, {2}, 0, 0},
                    {"y", DType::float32, {}, 0, 0},
                    {"x", DType::uint8, {3}, 0, 0},
                    {"w", DType::int64, {1}, 0, 0}};
  lay_out(header.tensors);
  const std::string expected =
      R"({"__metadata__":{"k\n":"\"v\""},"w":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
      R"("y":{"dtype":"F32","shape":[],"data_offsets":[8,12]},)"
      R"("z":{"dtype":"F32","shape":[2],"data_offsets":[12,20]},)"
      R"("x":{"dtype":"U8","shape":[3],"data_offsets":[20,23]}})";
  const std::string bytes = encode_header(header);
  EXPECT_EQ(bytes.size() % 8, 0u);
  EXPECT_EQ(static_cast<unsigned char>(bytes[0]), bytes.size() - 8);
  EXPECT_EQ(bytes.substr(1, 7), std::string(7, '\0'));
  EXPECT_EQ(bytes.substr(8, expected.size()), expected);
  EXPECT_EQ(bytes.find_first_not_of(' ', 8 + expected.size()), std::string::npos);
}

TEST(SafetensorsHeader, EveryDtypeHasItsName) {
  for (std::uint16_t number = 1; dtype_from_number(number); ++number) {
    const DType dtype = *dtype_from_number(number);
    const auto name = dtype_name(dtype);
    if (dtype == DType::complex32 || dtype == DType::complex128) {
      EXPECT_FALSE(name);
    } else {
      ASSERT_TRUE(name) << to_string(dtype);
      EXPECT_EQ(dtype_from_name(*name), dtype);
    }
  }
  EXPECT_FALSE(dtype_from_name("F4"));
}

TEST(SafetensorsHeader, WhatIsWrittenReadsBack) {
  std::mt19937_64 random(test::seed(20261123));
  const std::vector<DType> dtypes{DType::boolean,   DType::float16, DType::float32,
                                  DType::complex64, DType::int64,   DType::float8_e4m3fn};
  for (int round = 0; round < 200; ++round) {
    Header header;
    if (round % 3 != 0) header.metadata.emplace();
    if (round % 3 == 2) header.metadata->emplace("ключ \"\\\t\x01", "значение");
    for (std::uint64_t i = 0, count = random() % 20; i < count; ++i) {
      Tensor tensor{fmt::format("layer.{}/ы\x7f", i), dtypes[random() % dtypes.size()], {}, 0, 0};
      for (auto rank = random() % 4; rank > 0; --rank) {
        tensor.shape.push_back(static_cast<std::int64_t>(random() % 5));
      }
      header.tensors.push_back(tensor);
    }
    lay_out(header.tensors);
    const std::uint64_t data = header.tensors.empty() ? 0 : header.tensors.back().end;
    const Header back = decode_header(encode_header(header).substr(8), data, "m");
    EXPECT_EQ(back.metadata, header.metadata);
    // Empty tensors may change places with their neighbours.
    auto by_name = [](Header h) {
      std::ranges::sort(h.tensors, {}, &Tensor::name);
      return h.tensors;
    };
    EXPECT_EQ(by_name(back), by_name(header));
  }
}

TEST(SafetensorsHeader, LengthsThatLie) {
  const auto length_error = [](std::vector<int> bytes, std::uint64_t file_size) {
    std::vector<std::byte> first;
    for (const int b : bytes) first.push_back(static_cast<std::byte>(b));
    return error_of([&] { decode_length(first, file_size, "m.safetensors"); });
  };
  EXPECT_EQ(length_error({2, 0, 0}, 3),
            "corrupt: m.safetensors: 3 bytes, but a safetensors file starts with an 8-byte header "
            "length");
  EXPECT_EQ(length_error({1, 0xe1, 0xf5, 5, 0, 0, 0, 0}, 1u << 30),
            "corrupt: m.safetensors: header length is 100000001, the limit is 100000000");
  EXPECT_EQ(length_error({255, 255, 255, 255, 255, 255, 255, 255}, 1u << 30),
            "corrupt: m.safetensors: header length is 18446744073709551615, the limit is "
            "100000000");
  EXPECT_EQ(length_error({3, 0, 0, 0, 0, 0, 0, 0}, 10),
            "corrupt: m.safetensors: header length is 3, but only 2 bytes follow it; the file was "
            "probably cut short");
  EXPECT_EQ(length_error({2, 0, 0, 0, 0, 0, 0, 0}, 10), "no error");
}

TEST(SafetensorsHeader, RangesThatLie) {
  EXPECT_EQ(decode_error(one, 8), "no error");
  EXPECT_EQ(decode_error(one, 7),
            "corrupt: m.safetensors: tensor \"a\": data_offsets [0, 8] reach beyond the file, "
            "which holds 7 bytes of data");
  EXPECT_EQ(decode_error(one, 9),
            "corrupt: m.safetensors: bytes 8 to 9 of the data belong to no tensor");
  EXPECT_EQ(decode_error(tensor_json(R"("dtype":"F32","shape":[2],"data_offsets":[4,12])"), 12),
            "corrupt: m.safetensors: bytes 0 to 4 of the data belong to no tensor");
  EXPECT_EQ(decode_error(tensor_json(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), 8),
            "corrupt: m.safetensors: tensor \"a\": data_offsets [8, 0] run backwards");
  EXPECT_EQ(decode_error(tensor_json(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), 8),
            "corrupt: m.safetensors: tensor \"a\": data_offsets [0, 8] hold 8 bytes, but float32 "
            "of shape [3] needs 12");
  EXPECT_EQ(decode_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                         R"("b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
                         7),
            "corrupt: m.safetensors: tensors \"a\" and \"b\" overlap at byte 3 of the data");
  EXPECT_EQ(decode_error(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                         R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                         4),
            "corrupt: m.safetensors: tensors \"a\" and \"b\" overlap at byte 0 of the data");
}

TEST(SafetensorsHeader, ProductsThatOverflow) {
  // 2^62 * 4 * 4 bytes is 0 modulo 2^64: an unchecked product would fit the empty range.
  const auto shape = [](std::string_view extents) {
    return decode_error(
        tensor_json(fmt::format(R"("dtype":"F32","shape":[{}],"data_offsets":[0,0])", extents)), 0);
  };
  EXPECT_EQ(shape("4611686018427387904,4"),
            "corrupt: m.safetensors: tensor \"a\": shape [4611686018427387904, 4] is too large");
  EXPECT_EQ(shape("0,4611686018427387904,4"),
            "corrupt: m.safetensors: tensor \"a\": shape [0, 4611686018427387904, 4] is too "
            "large");
  EXPECT_EQ(shape("9223372036854775808"),
            "corrupt: m.safetensors: tensor \"a\", shape is 9223372036854775808, the limit is "
            "2^63 - 1");
  EXPECT_EQ(shape("99999999999999999999999"),
            "corrupt: m.safetensors: tensor \"a\", shape is a number that is no integer of 64 "
            "bits, expected a number of at least 0");
  EXPECT_EQ(shape("0,7"), "no error");
}

TEST(SafetensorsHeader, RepeatedNames) {
  EXPECT_EQ(decode_error(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                         R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                         2),
            "corrupt: m.safetensors: \"a\" stands twice in the header");
  EXPECT_EQ(decode_error(R"({"__metadata__":{"k":"1","k":"2"}})", 0),
            "corrupt: m.safetensors: \"k\" stands twice in __metadata__");
  EXPECT_EQ(decode_error(R"({"__metadata__":{},"__metadata__":{}})", 0),
            "corrupt: m.safetensors: \"__metadata__\" stands twice in the header");
  EXPECT_EQ(decode_error(tensor_json(R"("shape":[0],"shape":[1])"), 0),
            "corrupt: m.safetensors: \"shape\" stands twice in tensor \"a\"");
}

TEST(SafetensorsHeader, FieldsOfTheWrongKind) {
  const auto field = [](std::string_view text) { return decode_error(tensor_json(text), 0); };
  EXPECT_EQ(field(R"("dtype":1)"),
            "corrupt: m.safetensors: tensor \"a\", dtype is a number, expected a string");
  EXPECT_EQ(field(R"("shape":"3")"),
            "corrupt: m.safetensors: tensor \"a\", shape is a string, expected a list of numbers");
  EXPECT_EQ(field(R"("shape":[-1])"),
            "corrupt: m.safetensors: tensor \"a\", shape is a negative number, expected a number "
            "of at least 0");
  EXPECT_EQ(field(R"("shape":[1.0])"),
            "corrupt: m.safetensors: tensor \"a\", shape is a number that is no integer of 64 "
            "bits, expected a number of at least 0");
  EXPECT_EQ(field(R"("shape":[[1]])"),
            "corrupt: m.safetensors: tensor \"a\", shape is a list, expected a number of at least "
            "0");
  EXPECT_EQ(field(R"("data_offsets":[0])"),
            "corrupt: m.safetensors: tensor \"a\", data_offsets has 1 numbers, expected 2");
  EXPECT_EQ(field(R"("data_offsets":[0,1,2])"),
            "corrupt: m.safetensors: tensor \"a\", data_offsets has 3 numbers, expected 2");
  EXPECT_EQ(field(R"("dtype":"U8","shape":[0])"),
            "corrupt: m.safetensors: tensor \"a\" has no data_offsets");
  EXPECT_EQ(field(R"("shape":[0],"data_offsets":[0,0])"),
            "corrupt: m.safetensors: tensor \"a\" has no dtype");
  EXPECT_EQ(decode_error(R"({"a":[]})", 0),
            "corrupt: m.safetensors: tensor \"a\" is a list, expected an object");
  EXPECT_EQ(decode_error(R"({"a":null})", 0),
            "corrupt: m.safetensors: tensor \"a\" is null, expected an object");
  EXPECT_EQ(decode_error(R"({"__metadata__":{"k":1}})", 0),
            "corrupt: m.safetensors: __metadata__ \"k\" is a number, expected a string");
  EXPECT_EQ(decode_error(R"({"__metadata__":{"k":{}}})", 0),
            "corrupt: m.safetensors: __metadata__ \"k\" is an object, expected a string");
  EXPECT_EQ(decode_error(R"({"__metadata__":[]})", 0),
            "corrupt: m.safetensors: __metadata__ is a list, expected an object");
}

TEST(SafetensorsHeader, WhatThisVersionDoesNotKnow) {
  EXPECT_EQ(decode_error(tensor_json(R"("dtype":"F4","shape":[0],"data_offsets":[0,0])"), 0),
            "unsupported: m.safetensors: tensor \"a\" has dtype \"F4\", which this version does "
            "not know");
  EXPECT_EQ(decode_error(tensor_json(R"("byte_order":"big")"), 0),
            "unsupported: m.safetensors: tensor \"a\" has the field \"byte_order\", which this "
            "version does not know");
  std::string extents = "1";
  for (int i = 0; i < 64; ++i) extents += ",1";
  EXPECT_EQ(decode_error(tensor_json(fmt::format(
                             R"("dtype":"U8","shape":[{}],"data_offsets":[0,1])", extents)),
                         1),
            "unsupported: m.safetensors: tensor \"a\" has more than 64 dimensions");
}

TEST(SafetensorsHeader, TextThatIsNoHeader) {
  EXPECT_EQ(decode_error("", 0), "corrupt: m.safetensors: the header does not start with '{'");
  EXPECT_EQ(decode_error(" {}", 0), "corrupt: m.safetensors: the header does not start with '{'");
  EXPECT_EQ(decode_error("{", 0),
            "corrupt: m.safetensors: the header is no valid JSON at its byte 2");
  EXPECT_EQ(decode_error("{}x", 0),
            "corrupt: m.safetensors: the header is no valid JSON at its byte 3");
  EXPECT_EQ(decode_error("{\"\xff\":{}}", 0),
            "corrupt: m.safetensors: the header is no valid JSON at its byte 3");
  EXPECT_EQ(decode_error(R"({"\ud800":{}})", 0),
            "corrupt: m.safetensors: the header is no valid JSON at its byte 9");
}

TEST(SafetensorsHeader, DeepNestingIsAnErrorAtOnce) {
  const std::string deep(1'000'000, '[');
  EXPECT_EQ(decode_error("{\"a\":" + deep, 0),
            "corrupt: m.safetensors: tensor \"a\" is a list, expected an object");
  EXPECT_EQ(decode_error(tensor_json("\"shape\":" + deep), 0),
            "corrupt: m.safetensors: tensor \"a\", shape is a list, expected a number of at least "
            "0");
}

TEST(SafetensorsHeader, EveryPrefixIsAnError) {
  const std::string_view json =
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  for (std::size_t size = 0; size < json.size(); ++size) {
    EXPECT_TRUE(decode_error(json.substr(0, size), 8).starts_with("corrupt: ")) << size;
  }
}

TEST(SafetensorsHeader, RandomDamageIsAnErrorOrAnotherHeader) {
  std::mt19937_64 random(test::seed(7));
  const std::string_view json =
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string_view bytes = "{}[]\",:0123456789eE+-.\\un\xff\x80\n";
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged(json);
    for (auto changes = random() % 4 + 1; changes > 0; --changes) {
      damaged[random() % damaged.size()] = bytes[random() % bytes.size()];
    }
    try {
      const Header header = decode_header(damaged, 8, "m");
      EXPECT_EQ(decode_header(encode_header(header).substr(8), 8, "m"), header) << damaged;
    } catch (const Error&) {
      // As it should be.
    }
  }
}

TEST(SafetensorsHeader, LongNamesAreCutInMessages) {
  EXPECT_EQ(in_quotes("a\n\xff"), "\"a\\n\xef\xbf\xbd\"");
  const std::string message = in_quotes(std::string(5000, 'x'));
  EXPECT_LT(message.size(), 250u);
  EXPECT_NE(message.find("(5000 bytes)"), std::string::npos);
}

}  // namespace
}  // namespace ckp::safetensors

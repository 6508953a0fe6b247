#include "ckp/format/codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "pack_support.h"
#include "support/seed.h"

namespace ckp::format {
namespace {

using test::Bytes;
using test::error_of;

constexpr std::array<std::size_t, 4> scalar_sizes{1, 2, 4, 8};

void expect_round_trip(const Bytes& raw, std::size_t scalar_size) {
  const Encoded encoded = encode(raw, scalar_size, Compression::balanced);
  const Bytes& stored = encoded.codec == Codec::raw ? raw : encoded.bytes;
  EXPECT_LE(stored.size(), raw.size());
  Bytes out(raw.size(), std::byte{0xa5});
  decode(encoded.codec, stored, out);
  ASSERT_TRUE(out == raw) << raw.size() << " bytes, scalar_size " << scalar_size;
  if (const auto planes = encode_planes(raw, scalar_size)) {
    EXPECT_LT(planes->size(), raw.size());
    std::fill(out.begin(), out.end(), std::byte{0xa5});
    decode(Codec::planes, *planes, out);
    ASSERT_TRUE(out == raw) << raw.size() << " bytes as planes, scalar_size " << scalar_size;
  }
}

// Planes of chosen methods, made by hand from the specification: no encoder involved.
Bytes hand_made_planes(const std::vector<std::uint32_t>& elements, bool rotated) {
  Writer out;
  out.u8(4);
  out.u8(rotated ? 1 : 0);
  out.u16(0);
  for (int k = 0; k < 4; ++k) {
    out.u32(0);
    out.u32(static_cast<std::uint32_t>(elements.size()));
  }
  for (unsigned k = 0; k < 4; ++k) {
    for (const std::uint32_t element : elements) {
      const std::uint32_t moved = rotated ? (element << 1) | (element >> 31) : element;
      out.u8(static_cast<std::uint8_t>(moved >> (8 * k)));
    }
  }
  return out.release();
}

TEST(Codec, NamesAreTheSpecifications) {
  EXPECT_EQ(to_string(Codec::raw), "raw");
  EXPECT_EQ(to_string(Codec::constant), "constant");
  EXPECT_EQ(to_string(Codec::planes), "planes");
  EXPECT_EQ(to_string(Codec::sparse), "sparse");
  EXPECT_EQ(to_string(Codec::delta), "delta");
  EXPECT_FALSE(zstd_version().empty());
}

TEST(Codec, EqualBytesBecomeConstant) {
  for (const std::size_t size : {2u, 3u, 64u, 1u << 20}) {
    const Bytes raw(size, std::byte{0x7f});
    const Encoded encoded = encode(raw, 4, Compression::balanced);
    EXPECT_EQ(encoded.codec, Codec::constant);
    EXPECT_EQ(encoded.bytes, Bytes{std::byte{0x7f}});
    Bytes out(size);
    decode(Codec::constant, encoded.bytes, out);
    EXPECT_EQ(out, raw);
  }
}

TEST(Codec, NoneIsAlwaysRaw) {
  EXPECT_EQ(encode(Bytes(1000), 4, Compression::none).codec, Codec::raw);
}

// Weights, text, sixteen values, noise, and almost nothing: every level gives back what it got, and
// none takes more than the level below.
TEST(Codec, LevelsDifferInSizeAlone) {
  std::mt19937 random(static_cast<unsigned>(test::seed(43)));
  std::normal_distribution<float> normal(0.0f, 0.02f);
  constexpr std::size_t size = 1u << 18;
  std::vector<float> weights(size / 4);
  for (float& weight : weights) weight = normal(random);
  Bytes floats(size), text(size), few(size), noise(size), sparse(size);
  std::memcpy(floats.data(), weights.data(), size);
  const std::string_view line = "layer.17.attention.weight = 0.0173\n";
  for (std::size_t i = 0; i < size; ++i) {
    text[i] = static_cast<std::byte>(line[(i * i / 9999 + i) % line.size()]);
    few[i] = static_cast<std::byte>(random() % 16);
    noise[i] = static_cast<std::byte>(random());
    sparse[i] = static_cast<std::byte>(random() % 500 == 0 ? 1 : 0);
  }
  for (const Bytes* raw : {&floats, &text, &few, &noise, &sparse}) {
    for (const std::size_t scalar_size : scalar_sizes) {
      std::size_t before = size;
      for (const Compression level :
           {Compression::none, Compression::fast, Compression::balanced, Compression::archive}) {
        const Encoded encoded = encode(*raw, scalar_size, level);
        const Bytes& stored = encoded.codec == Codec::raw ? *raw : encoded.bytes;
        EXPECT_LE(stored.size(), before + before / 200) << static_cast<int>(level);
        before = stored.size();
        Bytes out(size);
        decode(encoded.codec, stored, out);
        ASSERT_TRUE(out == *raw) << static_cast<int>(level) << ", scalar_size " << scalar_size;
      }
    }
  }
}

TEST(Codec, LevelsHaveNames) {
  EXPECT_EQ(compression_named("none"), Compression::none);
  EXPECT_EQ(compression_named("fast"), Compression::fast);
  EXPECT_EQ(compression_named("balanced"), Compression::balanced);
  EXPECT_EQ(compression_named("archive"), Compression::archive);
  EXPECT_FALSE(compression_named("best"));
}

TEST(Codec, TheLastByteDecidesAgainstConstant) {
  Bytes raw(4096);
  raw[4095] = std::byte{1};
  EXPECT_FALSE(encode_constant(raw));
  raw[4095] = std::byte{0};
  raw[2000] = std::byte{1};
  EXPECT_FALSE(encode_constant(raw));
}

TEST(Codec, EmptyAndSingleBytesAreRaw) {
  for (const std::size_t scalar_size : scalar_sizes) {
    EXPECT_EQ(encode({}, scalar_size, Compression::balanced).codec, Codec::raw);
    EXPECT_EQ(encode(Bytes(1), scalar_size, Compression::balanced).codec, Codec::raw);
    decode(Codec::raw, {}, {});
  }
}

TEST(Codec, EverySixteenBitPatternSurvives) {
  Bytes raw(2 * 65536);
  for (std::size_t i = 0; i < 65536; ++i) {
    raw[2 * i] = static_cast<std::byte>(i & 0xff);
    raw[2 * i + 1] = static_cast<std::byte>(i >> 8);
  }
  for (const std::size_t scalar_size : scalar_sizes) expect_round_trip(raw, scalar_size);
  // The same patterns as the upper halves of float32: every sign, exponent and NaN kind.
  Bytes floats(4 * 65536);
  for (std::size_t i = 0; i < 65536; ++i) {
    floats[4 * i] = static_cast<std::byte>((i * 37) & 0xff);
    floats[4 * i + 2] = static_cast<std::byte>(i & 0xff);
    floats[4 * i + 3] = static_cast<std::byte>(i >> 8);
  }
  for (const std::size_t scalar_size : scalar_sizes) expect_round_trip(floats, scalar_size);
}

TEST(Codec, EverySmallSizeAndOddTail) {
  std::mt19937_64 random(test::seed(7));
  const Bytes source = test::weights(random, 200);
  for (std::size_t size = 0; size <= source.size(); ++size) {
    const Bytes raw(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(size));
    for (const std::size_t scalar_size : scalar_sizes) expect_round_trip(raw, scalar_size);
  }
}

TEST(Codec, RandomMixturesSurviveAndNeverGrow) {
  std::mt19937_64 random(test::seed(11));
  for (int round = 0; round < 200; ++round) {
    const std::size_t size = random() % 40000;
    Bytes raw = test::random_bytes(random, size);
    // Some bits fixed, runs, or a few different values: every method gets its turn.
    const auto mask = static_cast<std::byte>(random() & 0xff);
    const std::size_t period = 1 + random() % 16;
    for (std::size_t i = 0; i < size; ++i) {
      if (i % period != 0) raw[i] = round % 3 == 0 ? mask : raw[i] & mask;
    }
    for (const std::size_t scalar_size : scalar_sizes) expect_round_trip(raw, scalar_size);
  }
}

TEST(Codec, NoiseStaysRaw) {
  std::mt19937_64 random(test::seed(13));
  const Bytes raw = test::random_bytes(random, 1 << 20);
  for (const std::size_t scalar_size : scalar_sizes) {
    EXPECT_EQ(encode(raw, scalar_size, Compression::balanced).codec, Codec::raw);
  }
}

TEST(Codec, WeightsShrinkAsMeasured) {
  std::mt19937_64 random(test::seed(17));
  const Bytes raw = test::weights(random, 1 << 18);
  const Encoded encoded = encode(raw, 4, Compression::balanced);
  ASSERT_EQ(encoded.codec, Codec::planes);
  EXPECT_EQ(encoded.bytes[1], std::byte{1}) << "rotating helps weights";
  EXPECT_LT(encoded.bytes.size() * 119, raw.size() * 100) << "expected a ratio of at least 1.19";
}

TEST(Codec, RepetitionsInBytesAreFound) {
  std::string text;
  for (int i = 0; i < 4000; ++i) text += "layer." + std::to_string(i % 50) + ".weight\n";
  const Bytes raw = test::bytes_of(text);
  const Encoded encoded = encode(raw, 1, Compression::balanced);
  ASSERT_EQ(encoded.codec, Codec::planes);
  EXPECT_LT(encoded.bytes.size() * 20, raw.size());
}

TEST(Codec, PlanesMadeByHandFromTheSpecificationDecode) {
  const std::vector<std::uint32_t> elements{0x3f800000, 0xbf800000, 0x7fa00001, 0x80000000, 1};
  for (const bool rotated : {false, true}) {
    Bytes stored = hand_made_planes(elements, rotated);
    stored.push_back(std::byte{0xee});  // a tail of one byte
    Bytes out(elements.size() * 4 + 1);
    decode(Codec::planes, stored, out);
    EXPECT_EQ(std::memcmp(out.data(), elements.data(), elements.size() * 4), 0);
    EXPECT_EQ(out.back(), std::byte{0xee});
  }
}

TEST(Codec, ReservedAndUnknownCodecsAreRefusedAsNewer) {
  Bytes out(4);
  for (const auto codec : {Codec::sparse, Codec::delta, static_cast<Codec>(77)}) {
    const auto message = error_of(ErrorCode::newer_format, [&] { decode(codec, {}, out); });
    EXPECT_CONTAINS(message, "use a newer one");
  }
  EXPECT_CONTAINS(error_of(ErrorCode::newer_format, [&] { decode(Codec::delta, {}, out); }),
                  "codec 4 (delta)");
}

TEST(Codec, WrongScalarSizeIsTheCallersMistake) {
  for (const std::size_t scalar_size : {0u, 3u, 16u}) {
    EXPECT_CONTAINS(
        error_of(ErrorCode::invalid_argument, [&] { encode_planes(Bytes(100), scalar_size); }),
        "scalar_size");
  }
}

TEST(Codec, EachBadFieldOfPlanesIsNamed) {
  const Bytes good = hand_made_planes({1, 2, 3, 4}, false);
  const auto message = [&](std::size_t at, int value) {
    Bytes bad = good;
    bad[at] = static_cast<std::byte>(value);
    Bytes out(16);
    return error_of(ErrorCode::corrupt, [&] { decode(Codec::planes, bad, out); });
  };
  EXPECT_CONTAINS(message(0, 3), "scalar_size is 3, expected 1, 2, 4 or 8");
  EXPECT_CONTAINS(message(1, 2), "flags is 2");
  EXPECT_CONTAINS(message(2, 1), "codec planes");
  EXPECT_CONTAINS(message(4, 9), "method is 9");
  EXPECT_CONTAINS(message(4, 2), "size of a constant plane is 4");
  EXPECT_CONTAINS(message(4, 1), "size of a zstd plane is 4");
  EXPECT_CONTAINS(message(5, 1), "codec planes");
  EXPECT_CONTAINS(message(8, 5), "size of a raw plane is 5, expected 4");
  Bytes out(16);
  const Bytes shorter(good.begin(), good.end() - 1);
  EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { decode(Codec::planes, shorter, out); }),
                  "codec planes");
  Bytes longer = good;
  longer.push_back(std::byte{0});
  EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { decode(Codec::planes, longer, out); }),
                  "codec planes");
}

TEST(Codec, WrongSizesOfRawAndConstantAreNamed) {
  Bytes out(3);
  EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { decode(Codec::raw, Bytes(2), out); }),
                  "stored_size is 2, expected raw_size 3");
  EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { decode(Codec::constant, Bytes(2), out); }),
                  "stored_size is 2, expected 1");
}

// Whatever the stored bytes are: an error, or bytes; never a crash (the sanitizers watch).
TEST(Codec, DamagedStoredBytesNeverCrash) {
  std::mt19937_64 random(test::seed(19));
  const Bytes raw = test::weights(random, 3000);
  for (const std::size_t scalar_size : scalar_sizes) {
    const auto good = encode_planes(raw, scalar_size);
    if (!good) continue;
    for (int round = 0; round < 2000; ++round) {
      Bytes bad = *good;
      const int flips = 1 + static_cast<int>(random() % 4);
      for (int i = 0; i < flips; ++i) {
        // Mostly in the header and the frames' first bytes, where it matters.
        const std::size_t range =
            round % 2 == 0 ? bad.size() : std::min<std::size_t>(bad.size(), 80);
        bad[random() % range] ^= static_cast<std::byte>(1u << (random() % 8));
      }
      if (round % 5 == 0) bad.resize(random() % (bad.size() + 1));
      Bytes out(raw.size());
      try {
        decode(Codec::planes, bad, out);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::corrupt) << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace ckp::format

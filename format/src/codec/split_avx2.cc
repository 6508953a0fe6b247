#include "split_avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>

// On every function: nothing else in the library may need AVX2.
#define CKP_AVX2 __attribute__((target("avx2")))

namespace ckp::format {
namespace {

constexpr std::size_t block_elements = 32;  // one vector of every plane
constexpr std::size_t vector_size = 32;     // bytes

CKP_AVX2 __m256i load_vector(const std::byte* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

CKP_AVX2 void store_vector(std::byte* to, __m256i vector) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), vector);
}

template <std::size_t size>
CKP_AVX2 __m256i rotate_left(__m256i x) {
  if constexpr (size == 2)
    return _mm256_or_si256(_mm256_slli_epi16(x, 1), _mm256_srli_epi16(x, 15));
  if constexpr (size == 4)
    return _mm256_or_si256(_mm256_slli_epi32(x, 1), _mm256_srli_epi32(x, 31));
  if constexpr (size == 8)
    return _mm256_or_si256(_mm256_slli_epi64(x, 1), _mm256_srli_epi64(x, 63));
}

template <std::size_t size>
CKP_AVX2 __m256i rotate_right(__m256i x) {
  if constexpr (size == 2)
    return _mm256_or_si256(_mm256_srli_epi16(x, 1), _mm256_slli_epi16(x, 15));
  if constexpr (size == 4)
    return _mm256_or_si256(_mm256_srli_epi32(x, 1), _mm256_slli_epi32(x, 31));
  if constexpr (size == 8)
    return _mm256_or_si256(_mm256_srli_epi64(x, 1), _mm256_slli_epi64(x, 63));
}

template <std::size_t size, bool rotated>
CKP_AVX2 __m256i load_elements(const std::byte* raw) {
  const __m256i x = load_vector(raw);
  if constexpr (rotated) return rotate_left<size>(x);
  return x;
}

template <std::size_t size, bool rotated>
CKP_AVX2 void store_elements(std::byte* raw, __m256i x) {
  if constexpr (rotated) x = rotate_right<size>(x);
  store_vector(raw, x);
}

// The instructions that mix elements work within 128-bit lanes. This exchanges the middle quarters,
// which puts two lanes' results in order, and is its own inverse.
CKP_AVX2 __m256i swap_middle(__m256i x) { return _mm256_permute4x64_epi64(x, 0xd8); }

// In each lane, a 4 x 4 matrix of bytes is transposed; its own inverse.
CKP_AVX2 __m256i transpose_bytes(__m256i x) {
  const __m256i order = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4,
                                         8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm256_shuffle_epi8(x, order);
}

struct Four {
  __m256i v[4];
};

// In each lane, the 4 x 4 matrix of 32-bit words is transposed; its own inverse.
CKP_AVX2 Four transpose_words(const Four& x) {
  const __m256i a = _mm256_unpacklo_epi32(x.v[0], x.v[1]);
  const __m256i b = _mm256_unpackhi_epi32(x.v[0], x.v[1]);
  const __m256i c = _mm256_unpacklo_epi32(x.v[2], x.v[3]);
  const __m256i d = _mm256_unpackhi_epi32(x.v[2], x.v[3]);
  return {{_mm256_unpacklo_epi64(a, c), _mm256_unpackhi_epi64(a, c), _mm256_unpacklo_epi64(b, d),
           _mm256_unpackhi_epi64(b, d)}};
}

// Four vectors of 32-bit elements and four planes of their bytes.
CKP_AVX2 Four words_to_planes(Four x) {
  for (__m256i& vector : x.v) vector = transpose_bytes(vector);
  x = transpose_words(x);
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (__m256i& vector : x.v) vector = _mm256_permutevar8x32_epi32(vector, order);
  return x;
}

CKP_AVX2 Four planes_to_words(Four x) {
  const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
  for (__m256i& vector : x.v) vector = _mm256_permutevar8x32_epi32(vector, order);
  x = transpose_words(x);
  for (__m256i& vector : x.v) vector = transpose_bytes(vector);
  return x;
}

using Sources = std::array<const std::byte*, max_scalar_size>;
using Targets = std::array<std::byte*, max_scalar_size>;

template <bool rotated>
CKP_AVX2 void split_block_2(const std::byte* raw, const Targets& planes, std::size_t first) {
  const __m256i a = load_elements<2, rotated>(raw);
  const __m256i b = load_elements<2, rotated>(raw + vector_size);
  const __m256i mask = _mm256_set1_epi16(0xff);
  const __m256i low = _mm256_packus_epi16(_mm256_and_si256(a, mask), _mm256_and_si256(b, mask));
  const __m256i high = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
  store_vector(planes[0] + first, swap_middle(low));
  store_vector(planes[1] + first, swap_middle(high));
}

template <bool rotated>
CKP_AVX2 void merge_block_2(const Sources& planes, std::size_t first, std::byte* raw) {
  const __m256i low = swap_middle(load_vector(planes[0] + first));
  const __m256i high = swap_middle(load_vector(planes[1] + first));
  store_elements<2, rotated>(raw, _mm256_unpacklo_epi8(low, high));
  store_elements<2, rotated>(raw + vector_size, _mm256_unpackhi_epi8(low, high));
}

template <bool rotated>
CKP_AVX2 void split_block_4(const std::byte* raw, const Targets& planes, std::size_t first) {
  Four x;
  for (std::size_t i = 0; i < 4; ++i) x.v[i] = load_elements<4, rotated>(raw + i * vector_size);
  x = words_to_planes(x);
  for (std::size_t k = 0; k < 4; ++k) store_vector(planes[k] + first, x.v[k]);
}

template <bool rotated>
CKP_AVX2 void merge_block_4(const Sources& planes, std::size_t first, std::byte* raw) {
  Four x;
  for (std::size_t k = 0; k < 4; ++k) x.v[k] = load_vector(planes[k] + first);
  x = planes_to_words(x);
  for (std::size_t i = 0; i < 4; ++i) store_elements<4, rotated>(raw + i * vector_size, x.v[i]);
}

// Eight bytes: first the halves apart, then each as four bytes.
template <bool rotated>
CKP_AVX2 void split_block_8(const std::byte* raw, const Targets& planes, std::size_t first) {
  Four low;
  Four high;
  for (std::size_t i = 0; i < 4; ++i) {
    const __m256 a = _mm256_castsi256_ps(load_elements<8, rotated>(raw + 2 * i * vector_size));
    const __m256 b =
        _mm256_castsi256_ps(load_elements<8, rotated>(raw + (2 * i + 1) * vector_size));
    low.v[i] = swap_middle(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88)));
    high.v[i] = swap_middle(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd)));
  }
  low = words_to_planes(low);
  high = words_to_planes(high);
  for (std::size_t k = 0; k < 4; ++k) store_vector(planes[k] + first, low.v[k]);
  for (std::size_t k = 0; k < 4; ++k) store_vector(planes[k + 4] + first, high.v[k]);
}

template <bool rotated>
CKP_AVX2 void merge_block_8(const Sources& planes, std::size_t first, std::byte* raw) {
  Four low;
  Four high;
  for (std::size_t k = 0; k < 4; ++k) low.v[k] = load_vector(planes[k] + first);
  for (std::size_t k = 0; k < 4; ++k) high.v[k] = load_vector(planes[k + 4] + first);
  low = planes_to_words(low);
  high = planes_to_words(high);
  for (std::size_t i = 0; i < 4; ++i) {
    const __m256i l = swap_middle(low.v[i]);
    const __m256i h = swap_middle(high.v[i]);
    store_elements<8, rotated>(raw + 2 * i * vector_size, _mm256_unpacklo_epi32(l, h));
    store_elements<8, rotated>(raw + (2 * i + 1) * vector_size, _mm256_unpackhi_epi32(l, h));
  }
}

template <std::size_t size, bool rotated>
CKP_AVX2 std::size_t split_blocks(const std::byte* raw, std::size_t count, const Targets& planes) {
  const std::size_t end = count - count % block_elements;
  for (std::size_t i = 0; i < end; i += block_elements) {
    if constexpr (size == 2) split_block_2<rotated>(raw + i * size, planes, i);
    if constexpr (size == 4) split_block_4<rotated>(raw + i * size, planes, i);
    if constexpr (size == 8) split_block_8<rotated>(raw + i * size, planes, i);
  }
  return end;
}

template <std::size_t size, bool rotated>
CKP_AVX2 std::size_t merge_blocks(const Sources& planes, std::size_t count, std::byte* raw) {
  const std::size_t end = count - count % block_elements;
  for (std::size_t i = 0; i < end; i += block_elements) {
    if constexpr (size == 2) merge_block_2<rotated>(planes, i, raw + i * size);
    if constexpr (size == 4) merge_block_4<rotated>(planes, i, raw + i * size);
    if constexpr (size == 8) merge_block_8<rotated>(planes, i, raw + i * size);
  }
  return end;
}

template <std::size_t size>
std::size_t split_size(const std::byte* raw, std::size_t count, bool rotated,
                       const Targets& planes) {
  return rotated ? split_blocks<size, true>(raw, count, planes)
                 : split_blocks<size, false>(raw, count, planes);
}

template <std::size_t size>
std::size_t merge_size(const Sources& planes, std::size_t count, bool rotated, std::byte* raw) {
  return rotated ? merge_blocks<size, true>(planes, count, raw)
                 : merge_blocks<size, false>(planes, count, raw);
}

}  // namespace

bool has_avx2() {
  static const bool found = __builtin_cpu_supports("avx2") != 0;
  return found;
}

std::size_t split_avx2(const std::byte* raw, std::size_t count, std::size_t scalar_size,
                       bool rotated, const std::array<std::byte*, max_scalar_size>& planes) {
  if (scalar_size == 2) return split_size<2>(raw, count, rotated, planes);
  if (scalar_size == 4) return split_size<4>(raw, count, rotated, planes);
  if (scalar_size == 8) return split_size<8>(raw, count, rotated, planes);
  return 0;
}

std::size_t merge_avx2(const std::array<const std::byte*, max_scalar_size>& planes,
                       std::size_t count, std::size_t scalar_size, bool rotated, std::byte* raw) {
  if (scalar_size == 2) return merge_size<2>(planes, count, rotated, raw);
  if (scalar_size == 4) return merge_size<4>(planes, count, rotated, raw);
  if (scalar_size == 8) return merge_size<8>(planes, count, rotated, raw);
  return 0;
}

}  // namespace ckp::format

#else

namespace ckp::format {

bool has_avx2() { return false; }

std::size_t split_avx2(const std::byte*, std::size_t, std::size_t, bool,
                       const std::array<std::byte*, max_scalar_size>&) {
  return 0;
}

std::size_t merge_avx2(const std::array<const std::byte*, max_scalar_size>&, std::size_t,
                       std::size_t, bool, std::byte*) {
  return 0;
}

}  // namespace ckp::format

#endif

// Whether the tests are built with AddressSanitizer or ThreadSanitizer: everything takes ten times
// as long then, memory is not bounded, and malloc is the sanitizer's.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // GCC
#define CKP_SANITIZED 1
#elif defined(__has_feature)  // Clang
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CKP_SANITIZED 1
#endif
#endif
#ifndef CKP_SANITIZED
#define CKP_SANITIZED 0
#endif

namespace ckp::test {

constexpr bool sanitized = CKP_SANITIZED;

}  // namespace ckp::test

#include "save/memory_proof.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "ckp/error.h"
#include "save/strided_view.h"

namespace ckp {
namespace {

constexpr std::size_t kNamesShown = 5;

Digest digest_of_view(const TensorView& view) {
  const std::uint64_t element = size_of(view.dtype);
  const auto count = static_cast<std::uint64_t>(span_elements(view.shape, view.strides));
  if (count == 0) return {};
  const auto* first = static_cast<const std::byte*>(view.storage) +
                      static_cast<std::uint64_t>(view.storage_offset) * element;
  return digest_of(std::span(first, count * element));
}

}  // namespace

MemoryProof::MemoryProof(const StateDict& state) {
  state.wait_readable();
  for (const auto& [name, view] : state.tensors()) {
    digests_.emplace_back(name, digest_of_view(view));
  }
}

void MemoryProof::check(const StateDict& state) const {
  std::vector<std::string> changed;
  for (const auto& [name, digest] : digests_) {
    if (digest_of_view(state.tensors().find(name)->second) != digest) changed.push_back(name);
  }
  if (changed.empty()) return;
  const std::size_t count = changed.size();
  changed.resize(std::min(count, kNamesShown));
  throw Error(
      ErrorCode::invalid_argument,
      fmt::format("lazy save: {} tensor{} changed while the state was copied: {}{}; nothing "
                  "was saved; call wait_copied() (of a TrainingLoop: before_step()) before "
                  "whatever changes the state",
                  count, count == 1 ? "" : "s", fmt::join(changed, ", "),
                  count > kNamesShown ? ", ..." : ""));
}

}  // namespace ckp

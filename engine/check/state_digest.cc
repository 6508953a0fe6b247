#include "ckp/state_digest.h"

#include <fmt/format.h>

#include <cstddef>
#include <set>

#include "ckp/artifacts.h"
#include "ckp/error.h"

namespace ckp {
namespace {

void put(std::vector<std::byte>& out, std::uint64_t number, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    out.push_back(static_cast<std::byte>((number >> (8 * i)) & 0xff));
  }
}

std::vector<std::byte> describe(const format::TensorEntry& tensor) {
  std::vector<std::byte> out;
  put(out, tensor.name.size(), 4);
  for (const char c : tensor.name) out.push_back(static_cast<std::byte>(c));
  put(out, static_cast<std::uint64_t>(tensor.dtype), 2);
  put(out, tensor.shape.size(), 1);
  for (const std::int64_t size : tensor.shape) put(out, static_cast<std::uint64_t>(size), 8);
  return out;
}

std::string part_of(const std::string& name) { return name.substr(0, name.find('/')); }

[[noreturn]] void throw_no_part(const Checkpoint& checkpoint, std::string_view part) {
  std::set<std::string> parts;
  for (const format::TensorEntry& tensor : checkpoint.manifest().tensors) {
    parts.insert(part_of(tensor.name));
  }
  throw Error(
      ErrorCode::not_found,
      fmt::format("{}: no tensors in a part \"{}\"; parts with tensors: {}", checkpoint.name(),
                  part, parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, ", "))));
}

}  // namespace

StateDigest state_digest(const Checkpoint& checkpoint, std::string_view part,
                         const LoadOptions& options) {
  StateDigest result;
  DigestStream total;
  // Manifests keep their tensors sorted by name.
  for (const format::TensorEntry& tensor : checkpoint.manifest().tensors) {
    if (part.empty() && is_artifact(checkpoint.manifest(), tensor)) continue;
    if (!part.empty() && part_of(tensor.name) != part) continue;
    const std::vector<std::byte> head = describe(tensor);
    const std::vector<std::byte> elements = checkpoint.read(tensor.name, options);
    DigestStream one;
    for (DigestStream* stream : {&one, &total}) {
      stream->update(head);
      stream->update(elements);
    }
    result.tensors.push_back({tensor.name, tensor.dtype, tensor.shape, one.digest()});
  }
  if (!part.empty() && result.tensors.empty()) throw_no_part(checkpoint, part);
  result.total = total.digest();
  return result;
}

}  // namespace ckp

#include "ckp/artifacts.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ckp/error.h"

namespace ckp {
namespace {

constexpr std::size_t longest_artifact_name = 1024;
constexpr std::size_t longest_segment = 255;  // of file systems

// What is wrong with a name, or nothing.
std::string_view problem_of(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() > longest_artifact_name) return "it is longer than 1024 bytes";
  if (!is_utf8(name)) return "it is not UTF-8";
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(name, is_control)) return "it has a control character";
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view segment = name.substr(begin, end - begin);
    if (segment.empty()) return "it begins or ends with a slash, or has two in a row";
    if (segment == "." || segment == "..") return "it has a segment '.' or '..'";
    if (segment.size() > longest_segment) return "it has a segment longer than 255 bytes";
    begin = end + 1;
  }
  return {};
}

std::optional<Artifact> describe_artifact(const format::Manifest& manifest,
                                          const format::TensorEntry& tensor) {
  const std::string_view name = tensor.name;
  const std::size_t slash = name.find('/');
  if (name.substr(0, slash) != artifacts_part || slash == std::string_view::npos) return {};
  const auto part = manifest.values.find(artifacts_part);
  if (part == manifest.values.end()) return {};
  const Value* const facts = part->second.find(name.substr(slash + 1));
  const Value* const digest = facts == nullptr ? nullptr : facts->find("xxh3_128");
  const auto* const text = digest == nullptr ? nullptr : digest->get_if<std::string>();
  const auto known = text == nullptr ? std::nullopt : Digest::from_hex(*text);
  if (!known || tensor.dtype != DType::uint8 || tensor.shape.size() != 1) return {};
  const auto size = static_cast<std::uint64_t>(tensor.shape[0]);
  const bool is_whole = tensor.storage_offset == 0 && (size < 2 || tensor.strides[0] == 1) &&
                        manifest.storages[tensor.storage].size == size;
  if (!is_whole) return {};
  return Artifact{std::string(name.substr(slash + 1)), size, *known};
}

}  // namespace

void check_artifact_name(std::string_view name) {
  const std::string_view problem = problem_of(name);
  if (problem.empty()) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("artifact '{}': no name for a file below a folder: {}", name, problem));
}

bool is_artifact(const format::Manifest& manifest, const format::TensorEntry& tensor) {
  return describe_artifact(manifest, tensor).has_value();
}

std::vector<Artifact> artifacts_of(const Checkpoint& checkpoint) {
  std::vector<Artifact> artifacts;
  for (const format::TensorEntry& tensor : checkpoint.manifest().tensors) {
    if (auto one = describe_artifact(checkpoint.manifest(), tensor)) {
      artifacts.push_back(*std::move(one));
    }
  }
  return artifacts;
}

}  // namespace ckp

// What a file is, by its first bytes, and what to do about a file of PyTorch.
#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "ckp/convert.h"
#include "ckp/error.h"
#include "ckp/shell_word.h"

namespace ckp {
namespace {

// "\x89CKP", also with its high bit cut off: opening it then says what happened to the file.
bool is_pack(std::string_view start) {
  return start.starts_with(
             "\x89"
             "CKP") ||
         start.starts_with("\tCKP");
}

// An 8-byte length, then JSON. The length may lie, within reason: reading says so.
bool is_safetensors(std::string_view start) {
  constexpr std::size_t brace = 8;
  return start.size() > brace && start[brace] == '{' &&
         start.substr(5, 3) == std::string_view("\0\0\0", 3);
}

// torch.save writes a zip, before 1.6 a bare pickle: PROTO and a protocol number.
bool is_pytorch(std::string_view start) {
  const bool pickle = start.size() > 1 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5;
  return pickle || start.starts_with("PK\x03\x04");
}

// JSON's strings without non-ASCII escapes are Python's, too.
std::string python_string(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

FileKind detect_kind(const std::filesystem::path& path, FileSystem& fs) {
  std::array<char, 16> bytes{};
  const auto file = fs.open(path, OpenMode::read);
  const std::size_t size = file->read_at(0, std::as_writable_bytes(std::span(bytes)));
  const std::string_view start(bytes.data(), size);
  if (is_pack(start)) return FileKind::ckp;
  if (is_safetensors(start)) return FileKind::safetensors;
  if (is_pytorch(start)) return FileKind::pytorch;
  return FileKind::unknown;
}

std::string pytorch_advice(const std::filesystem::path& path) {
  std::filesystem::path converted = path, result = path;
  converted.replace_extension(".safetensors");
  result.replace_extension(".ckp");
  return fmt::format(
      R"({0} is a PyTorch file: a pickle, which is a program, and ckptool does not run it.
Turn it into safetensors once, in a Python that has torch and safetensors:

import torch, safetensors.torch
state = torch.load({1}, map_location="cpu", weights_only=True)
state = state.get("state_dict", state.get("model", state))
state = {{k: v.clone().contiguous() for k, v in state.items() if isinstance(v, torch.Tensor)}}
safetensors.torch.save_file(state, {2})

The third line takes the weights out of a training dictionary, where they are under "state_dict" or "model". Then:

ckptool convert {3} {4}
)",
      path.string(), python_string(path.string()), python_string(converted.string()),
      shell_word(converted.string()), shell_word(result.string()));
}

}  // namespace ckp

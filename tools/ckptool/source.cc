#include "source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ckp/convert.h"
#include "render.h"

namespace ckp::tool {

bool is_file(const std::filesystem::path& path, FileSystem& fs) {
  const std::optional<FileStatus> status = fs.status(path);
  return status.has_value() && !status->is_directory;
}

bool means_file(const std::string& argument, FileSystem& fs) {
  constexpr std::array endings{".ckp", ".safetensors", ".pt", ".pth"};
  const std::string ending = std::filesystem::path(argument).extension().string();
  return is_file(argument, fs) ||
         std::find(endings.begin(), endings.end(), ending) != endings.end();
}

Checkpoint open_checkpoint_file(const std::string& path, Context& context) {
  if (!is_file(path, *context.file_system)) {
    throw Error(ErrorCode::not_found, fmt::format("{}: no such file", printable(path)));
  }
  switch (detect_kind(path, *context.file_system)) {
    case FileKind::pytorch:
      throw Error(ErrorCode::unsupported, pytorch_advice(path));
    case FileKind::safetensors:
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{}: a safetensors file, expected a .ckp file; first: ckptool convert "
                      "{} {}",
                      printable(path), shell_word(path),
                      shell_word(std::filesystem::path(path).replace_extension(".ckp").string())));
    case FileKind::ckp:
    case FileKind::unknown:  // the reader says best what is wrong with it
      break;
  }
  return open_file(path, context.file_system);
}

Checkpoint open_source(const std::vector<std::string>& arguments, const std::string& store_option,
                       Context& context) {
  FileSystem& fs = *context.file_system;
  if (arguments.size() == 1 && store_option.empty() && means_file(arguments[0], fs)) {
    return open_checkpoint_file(arguments[0], context);
  }
  const StoreArgument found = find_store(arguments, store_option, 1, fs);
  check_count(found.rest, 1, 1, "ADDRESS");
  const Store store = Store::open(found.path, {.file_system = context.file_system});
  return store.open_checkpoint(store.find(parse_address(found.rest[0])));
}

}  // namespace ckp::tool

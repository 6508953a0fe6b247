#include "source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ckp/convert.h"
#include "ckp/query.h"
#include "ckp/verify.h"
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

Checkpoint open_address(const Store& store, const std::string& text, Read how_much) {
  const Address address = parse_address(text);
  if (address.kind == Address::Kind::best) tell_missing(store, store.run(address.run));
  if (address.kind != Address::Kind::latest) return store.open_checkpoint(store.find(address));
  const RunRecord run = store.run(address.run);
  tell_missing(store, run);
  std::vector<CheckpointRecord> line = current_line(run, store.checkpoints(run.id));
  while (line.size() > 1) {
    try {
      const Checkpoint checkpoint = store.open_checkpoint(line.back());
      if (how_much == Read::everything) check_stored_bytes(checkpoint);
      return checkpoint;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::not_found) throw;
      complain(fmt::format("note: passed over {}, epoch {}, step {}: {}", address_text(line.back()),
                           line.back().epoch, line.back().step, error.what()));
      line.pop_back();
    }
  }
  // The last hope speaks for itself, and so does an empty line.
  return store.open_checkpoint(line.empty() ? store.find(address) : line.back());
}

Checkpoint open_source(const std::vector<std::string>& arguments, const std::string& store_option,
                       Context& context) {
  FileSystem& fs = *context.file_system;
  if (arguments.size() == 1 && store_option.empty() && means_file(arguments[0], fs)) {
    return open_checkpoint_file(arguments[0], context);
  }
  const StoreArgument found = find_store(arguments, store_option, 1, fs);
  check_count(found.rest, 1, 1, "ADDRESS");
  const OpenedStore store(context, found.path);
  return open_address(store, found.rest[0], Read::everything);
}

}  // namespace ckp::tool

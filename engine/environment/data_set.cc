#include "ckp/data_set.h"

#include <fmt/format.h>

#include <span>
#include <system_error>
#include <vector>

#include "ckp/error.h"
#include "ckp/file_system.h"

namespace ckp {
namespace {

// The record is read with every list of runs.
constexpr std::size_t most_listed = 1000;

Digest digest_file(FileSystem& fs, const std::filesystem::path& path) {
  const auto file = fs.open(path, OpenMode::read);
  DigestStream stream;
  std::vector<std::byte> buffer(std::size_t{1} << 20);
  for (std::uint64_t offset = 0;;) {
    const std::size_t got = file->read_at(offset, buffer);
    stream.update(std::span(buffer).first(got));
    offset += got;
    if (got < buffer.size()) return stream.digest();
  }
}

[[noreturn]] void throw_unreadable(const std::filesystem::path& path,
                                   const std::error_code& error) {
  throw Error(
      error == std::errc::no_such_file_or_directory ? ErrorCode::not_found : ErrorCode::io,
      fmt::format("{}: cannot list the data set's files: {}", path.string(), error.message()));
}

void check_text(const std::string& text) {
  if (is_utf8(text)) return;
  throw Error(ErrorCode::invalid_argument, "data set: a name is no valid UTF-8: rename the file");
}

Value::Map counts(const std::map<std::string, std::int64_t>& numbers) {
  Value::Map map;
  for (const auto& [name, count] : numbers) {
    check_text(name);
    map.emplace(name, count);
  }
  return map;
}

}  // namespace

void DataSet::add_files(const std::filesystem::path& path) {
  const auto fs = posix_file_system();
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    files[path.filename().string()] = digest_file(*fs, path);
    return;
  }
  std::filesystem::recursive_directory_iterator at(
      path, std::filesystem::directory_options::follow_directory_symlink, error);
  for (const std::filesystem::recursive_directory_iterator end; !error && at != end;
       at.increment(error)) {
    if (!at->is_regular_file(error)) continue;
    files[at->path().lexically_relative(path).string()] = digest_file(*fs, at->path());
  }
  if (error) throw_unreadable(path, error);
}

Digest DataSet::digest() const {
  DigestStream stream;
  for (const auto& [file, digest] : files) {
    // As `xxh128sum` prints them: a name cannot pass for a digest.
    const std::string line = digest.hex() + "  " + file + "\n";
    stream.update(std::as_bytes(std::span(line)));
  }
  return stream.digest();
}

bool DataSet::empty() const {
  return name.empty() && version.empty() && files.empty() && splits.empty() && classes.empty() &&
         normalization.empty() && more.empty();
}

Value::Map DataSet::to_map() const {
  Value::Map map = more;
  check_text(name);
  check_text(version);
  if (!name.empty()) map.emplace("name", name);
  if (!version.empty()) map.emplace("version", version);
  if (!splits.empty()) map.emplace("splits", counts(splits));
  if (!classes.empty()) map.emplace("classes", counts(classes));
  if (!normalization.empty()) map.emplace("normalization", normalization);
  if (files.empty()) return map;
  map.emplace("digest", digest().hex());
  map.emplace("file_count", files.size());
  if (files.size() > most_listed) return map;
  Value::Map digests;
  for (const auto& [file, one] : files) {
    check_text(file);
    digests.emplace(file, one.hex());
  }
  map.emplace("files", std::move(digests));
  return map;
}

}  // namespace ckp

#include "check/set_aside.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "ckp/error.h"
#include "ckp/records.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

constexpr std::size_t piece_size = 4u << 20;
constexpr std::size_t sector_size = 4096;

// What the disk does not give becomes zeros.
void read_what_is_there(const File& file, std::uint64_t offset, std::span<std::byte> out) {
  std::fill(out.begin(), out.end(), std::byte{0});
  try {
    (void)file.read_at(offset, out);
    return;
  } catch (const Error&) {
  }
  for (std::size_t at = 0; at < out.size(); at += sector_size) {
    try {
      (void)file.read_at(offset + at, out.subspan(at, std::min(sector_size, out.size() - at)));
    } catch (const Error&) {
      // This sector is lost.
    }
  }
}

}  // namespace

void SetAside::check_place() const {
  const auto place = layout_.set_aside();
  const auto there = fs_.status(place);
  if (there ? there->is_directory : !is_link_to_nowhere(fs_, place)) return;
  throw Error(ErrorCode::already_exists,
              fmt::format("{}: is no directory, and the originals of what a repair replaces go "
                          "there; move it away",
                          place.string()));
}

void SetAside::make_folder() {
  if (!folder_.empty()) return;
  check_place();
  const auto parent = layout_.set_aside();
  if (fs_.make_directory(parent)) {
    paths_.push_back(parent);
    fs_.sync_directory(layout_.root);
  }
  const std::string date = iso_time(clock_.now_ns()).substr(0, 10);
  for (int number = 1; folder_.empty(); ++number) {
    const auto candidate = parent / fmt::format("{}-{}", date, number);
    if (!fs_.make_directory(candidate)) continue;
    folder_ = candidate;
    paths_.push_back(candidate);
  }
  fs_.sync_directory(parent);
}

void SetAside::make_directories(const std::filesystem::path& below) {
  std::filesystem::path at = folder_;
  for (const auto& part : below) {
    const auto parent = at;
    at /= part;
    if (!made_.insert(at).second) continue;
    fs_.make_directory(at);
    paths_.push_back(at);
    fs_.sync_directory(parent);
  }
}

void SetAside::keep(const std::filesystem::path& file) {
  const auto status = fs_.status(file);
  if (!status) return;
  make_folder();
  const auto relative = file.lexically_relative(layout_.root);
  make_directories(relative.parent_path());
  const auto from = fs_.open(file, OpenMode::read);
  write(folder_ / relative, [&](FileAppender& to) {
    std::vector<std::byte> piece;
    for (std::uint64_t at = 0; at < status->size; at += piece.size()) {
      piece.resize(std::min<std::uint64_t>(piece_size, status->size - at));
      read_what_is_there(*from, at, piece);
      to.append(piece);
    }
  });
  bytes_ += status->size;
}

// The folder is new, and nothing is done before all of it is durable: no need to appear at once.
void SetAside::write(const std::filesystem::path& path,
                     const std::function<void(FileAppender&)>& fill) {
  const auto file = fs_.open(path, OpenMode::create_new);
  paths_.push_back(path);
  FileAppender to(*file);
  fill(to);
  to.flush();
  file->sync();
  file->close();
  fs_.sync_directory(path.parent_path());
}

void SetAside::discard() noexcept {
  for (auto path = paths_.rbegin(); path != paths_.rend(); ++path) {
    try {
      fs_.remove(*path);
    } catch (const std::exception&) {
      // A copy too many does no harm.
    }
  }
}

void SetAside::note(std::string_view name, const std::string& text) {
  if (folder_.empty()) return;
  write(folder_ / name, [&](FileAppender& to) { to.append(std::as_bytes(std::span(text))); });
}

}  // namespace ckp

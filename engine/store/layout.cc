#include "store/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ckp/error.h"

namespace ckp {
namespace {

constexpr std::string_view temporary_suffix = ".tmp";
constexpr std::string_view pack_suffix = ".ckp";
constexpr std::string_view retired_suffix = ".retired-";
constexpr std::string_view trash_suffix = ".trash-";
constexpr std::string_view dead_suffix = ".dead";
constexpr std::string_view journal_prefix = "journal-";
constexpr std::size_t uuid_digits = 32;
constexpr std::size_t slug_size = 40;

// Eats the front of a file name, piece by piece.
class NameParser {
 public:
  explicit NameParser(std::string_view rest) : rest_(rest) {}

  bool literal(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  template <class Number>
  bool number(Number& out) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), out);
    if (error != std::errc{} || end == rest_.data()) return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }
  bool uuid(Uuid& out) {
    const std::optional<Uuid> found = Uuid::from_hex(rest_.substr(0, uuid_digits));
    if (!found) return false;
    out = *found;
    rest_.remove_prefix(uuid_digits);
    return true;
  }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// Fills `name` and leaves in the parser what follows.
bool parse_parts(NameParser& parser, PackName& name) {
  std::uint64_t commit = 0;
  if (!parser.number(commit) || !parser.literal("-")) return false;
  if (parser.uuid(name.uuid) && parser.literal(temporary_suffix)) {
    name.state = PackState::temporary;
    name.began = commit;
    return true;
  }
  name.commit = commit;
  if (!parser.number(name.step) || !parser.literal("-") || !parser.uuid(name.uuid) ||
      !parser.literal(pack_suffix)) {
    return false;
  }
  name.state = PackState::live;
  if (parser.literal(dead_suffix)) {
    name.state = PackState::dead;
  } else if (parser.literal(retired_suffix)) {
    name.state = PackState::retired;
    return parser.number(name.retired);
  } else if (parser.literal(trash_suffix)) {
    name.state = PackState::retired;
    return parser.number(name.retired) && parser.literal("-") && parser.number(name.trash_until) &&
           name.trash_until > 0 && name.trash_until <= max_trash_until;
  }
  return true;
}

bool is_slug_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

// Other characters become '-', one for a whole stretch of them.
std::string slug_of(std::string_view run_name) {
  std::string slug;
  for (char c : run_name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!is_slug_character(c)) c = '-';
    if (c == '-' && (slug.empty() || slug.back() == '-')) continue;
    if (c == '.' && slug.empty()) continue;  // no hidden directories
    slug += c;
    if (slug.size() == slug_size) break;
  }
  while (slug.ends_with('-')) slug.pop_back();
  return slug.empty() ? "run" : slug;
}

}  // namespace

std::string to_file_name(const PackName& name) {
  if (name.state == PackState::temporary) {
    return fmt::format("{:010}-{}{}", name.began, name.uuid.hex(), temporary_suffix);
  }
  if (name.step < 0) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("a checkpoint's step is {}, expected 0 or more", name.step));
  }
  // Padded, so that a directory lists in the order of the commits.
  std::string text =
      fmt::format("{:010}-{:09}-{}{}", name.commit, name.step, name.uuid.hex(), pack_suffix);
  if (name.state == PackState::dead) text += dead_suffix;
  if (name.in_trash()) {
    text += fmt::format("{}{:010}-{:010}", trash_suffix, name.retired, name.trash_until);
  } else if (name.state == PackState::retired) {
    text += fmt::format("{}{:010}", retired_suffix, name.retired);
  }
  return text;
}

std::string live_name(const CheckpointRecord& checkpoint) {
  PackName name;
  name.uuid = checkpoint.id;
  name.commit = checkpoint.commit;
  name.step = checkpoint.step;
  return to_file_name(name);
}

std::optional<PackName> parse_pack_name(std::string_view file_name) {
  PackName name;
  NameParser parser(file_name);
  if (!parse_parts(parser, name) || !parser.at_end() || name.step < 0) return std::nullopt;
  if (std::max({name.commit, name.began, name.retired}) > max_commit) return std::nullopt;
  // There is one spelling of each name; anything else is somebody else's file.
  if (to_file_name(name) != file_name) return std::nullopt;
  return name;
}

std::string to_file_name(const JournalName& name) {
  return fmt::format("{}{:06}-{}", journal_prefix, name.attempt, name.journal.hex());
}

std::optional<JournalName> parse_journal_name(std::string_view file_name) {
  JournalName name;
  NameParser parser(file_name);
  if (!parser.literal(journal_prefix) || !parser.number(name.attempt) || !parser.literal("-") ||
      !parser.uuid(name.journal) || !parser.at_end() || name.attempt > max_attempt ||
      to_file_name(name) != file_name) {
    return std::nullopt;
  }
  return name;
}

std::string run_directory_name(std::string_view run_name, const Uuid& run) {
  return slug_of(run_name) + "-" + run.hex();
}

std::optional<Uuid> parse_run_directory(std::string_view directory) {
  if (directory.size() < uuid_digits + 2) return std::nullopt;
  const std::size_t split = directory.size() - uuid_digits;
  const std::optional<Uuid> run = Uuid::from_hex(directory.substr(split));
  // Lower-case digits only, as run_directory_name writes them.
  if (directory[split - 1] != '-' || !run || run->hex() != directory.substr(split)) {
    return std::nullopt;
  }
  for (const char c : directory.substr(0, split - 1)) {
    if (!is_slug_character(c)) return std::nullopt;
  }
  return run;
}

}  // namespace ckp

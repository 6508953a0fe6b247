#include "support/crash_disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace ckp::test {
namespace {

bool is_entry_change(const DiskOperation& operation) {
  using Kind = DiskOperation::Kind;
  return operation.kind == Kind::create || operation.kind == Kind::make_directory ||
         operation.kind == Kind::rename || operation.kind == Kind::remove;
}

bool same_place(const DiskOperation& a, const DiskOperation& b) {
  return a.kind == DiskOperation::Kind::write && b.kind == DiskOperation::Kind::write &&
         a.offset == b.offset && a.bytes->size() == b.bytes->size();
}

void write_file(const std::filesystem::path& path, const Bytes& bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) throw std::runtime_error("cannot make " + path.string());
  const auto put = ::write(file, bytes.data(), bytes.size());
  ::close(file);
  if (put != static_cast<ssize_t>(bytes.size())) throw std::runtime_error("short write");
}

}  // namespace

void write_image(const std::filesystem::path& directory, const DiskImage& image) {
  // In the order of names, so that a directory comes before what is in it.
  for (const auto& [path, bytes] : image) {
    if (bytes) {
      write_file(directory / path, *bytes);
    } else {
      std::filesystem::create_directory(directory / path);
    }
  }
}

Digest digest_of(const DiskImage& image) {
  DigestStream stream;
  for (const auto& [path, bytes] : image) {
    const std::uint64_t lengths[2] = {path.size(), bytes ? bytes->size() : ~std::uint64_t{0}};
    stream.update(std::as_bytes(std::span(lengths)));
    stream.update(std::as_bytes(std::span(path)));
    if (bytes) stream.update(*bytes);
  }
  return stream.digest();
}

Disk::Disk() { make_node(root, true); }

Disk::Disk(const DiskImage& image) : Disk() {
  for (const auto& [path, bytes] : image) {
    const std::filesystem::path whole(path);
    Node& parent = nodes_[find(whole.parent_path()).value()];
    const NodeId id = next_node();
    parent.entries[whole.filename().string()] = id;
    parent.visible_entries = parent.entries;
    Node& node = make_node(id, !bytes);
    if (bytes) node.bytes = node.visible_bytes = *bytes;
  }
}

Disk::Node& Disk::make_node(NodeId id, bool is_directory) {
  if (id != nodes_.size()) throw std::logic_error("a node out of turn");
  nodes_.emplace_back().is_directory = is_directory;
  return nodes_.back();
}

void Disk::apply(const DiskOperation& operation) {
  using Kind = DiskOperation::Kind;
  if (operation.kind == Kind::create || operation.kind == Kind::make_directory) {
    make_node(operation.node, operation.kind == Kind::make_directory);
  }
  if (is_entry_change(operation)) {
    Node& directory = nodes_.at(operation.directory);
    change_entries(directory.visible_entries, operation);
    directory.pending.push_back(operation);
    return;
  }
  Node& node = nodes_.at(operation.node);
  if (operation.kind == Kind::sync) {
    node.entries = node.visible_entries;
    node.bytes = node.visible_bytes;
    node.pending.clear();
  } else {
    change_bytes(node.visible_bytes, operation);
    node.pending.push_back(operation);
  }
}

std::optional<NodeId> Disk::find(const std::filesystem::path& path) const {
  NodeId at = root;
  for (const auto& name : path) {
    if (name.empty() || name == ".") continue;
    const auto& entries = nodes_.at(at).visible_entries;
    const auto found = entries.find(name.string());
    if (found == entries.end()) return std::nullopt;
    at = found->second;
  }
  return at;
}

// An entry's change that arrives does so whatever happened to the changes before it.
void Disk::change_entries(Entries& entries, const DiskOperation& operation) {
  using Kind = DiskOperation::Kind;
  if (operation.kind == Kind::create || operation.kind == Kind::make_directory) {
    entries[operation.name] = operation.node;
    return;
  }
  const auto old = entries.find(operation.name);
  if (old != entries.end() && old->second == operation.node) entries.erase(old);
  if (operation.kind == Kind::rename) entries[operation.new_name] = operation.node;
}

void Disk::change_bytes(Bytes& bytes, const DiskOperation& operation) {
  if (operation.kind == DiskOperation::Kind::truncate) {
    bytes.resize(operation.offset);
    return;
  }
  const std::uint64_t end = operation.offset + operation.bytes->size();
  if (bytes.size() < end) bytes.resize(end);
  std::copy(operation.bytes->begin(), operation.bytes->end(),
            bytes.begin() + static_cast<std::ptrdiff_t>(operation.offset));
}

// `memory` has the write, and every one before it.
void Disk::let_arrive(Bytes& disk, const Bytes& memory, const DiskOperation& write,
                      const Fate& fate) {
  const std::uint64_t first = write.offset / sector;
  const std::uint64_t end = write.offset + write.bytes->size();
  for (std::uint64_t at = first * sector; at < end; at += sector) {
    if ((fate.sectors >> (at / sector - first) % 64 & 1) == 0) continue;
    const std::uint64_t stop = std::min<std::uint64_t>(at + sector, memory.size());
    if (disk.size() < stop) disk.resize(stop);
    std::copy(memory.begin() + static_cast<std::ptrdiff_t>(at),
              memory.begin() + static_cast<std::ptrdiff_t>(stop),
              disk.begin() + static_cast<std::ptrdiff_t>(at));
  }
  if (fate.sized && disk.size() < end) disk.resize(end);
}

Bytes Disk::bytes_after_cut(std::span<const Question> questions,
                            std::span<const Fate> fates) const {
  const Node& node = nodes_[questions.front().node];
  Bytes disk = node.bytes, memory = node.bytes;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const Question& question = questions[i];
    const std::size_t choice = fates[i].choice;
    const bool all = choice == question.choices - 1;
    for (std::size_t number = 1; number <= question.count; ++number) {
      const DiskOperation& change = node.pending[question.first + number - 1];
      change_bytes(memory, change);
      if (change.kind == DiskOperation::Kind::truncate) {
        if (all) disk.resize(change.offset);
      } else if (number == question.count && all) {
        let_arrive(disk, memory, change, {.sectors = ~std::uint64_t{0}});
      } else if (number == choice) {
        Fate part = fates[i];
        if (number < question.count) part.sectors = ~std::uint64_t{0};
        let_arrive(disk, memory, change, part);
      }
    }
  }
  return disk;
}

template <class EntriesOf, class BytesOf>
void Disk::collect(NodeId id, const std::string& path, const EntriesOf& entries_of,
                   const BytesOf& bytes_of, DiskImage& image) const {
  if (!path.empty()) image[path] = std::nullopt;
  for (const auto& [name, child] : entries_of(id)) {
    const std::string child_path = path.empty() ? name : path + "/" + name;
    if (nodes_[child].is_directory) {
      collect(child, child_path, entries_of, bytes_of, image);
    } else {
      image[child_path] = bytes_of(child);
    }
  }
}

DiskImage Disk::visible() const {
  DiskImage image;
  collect(
      root, "", [&](NodeId id) -> const Entries& { return nodes_[id].visible_entries; },
      [&](NodeId id) -> const Bytes& { return nodes_[id].visible_bytes; }, image);
  return image;
}

DiskImage Disk::synced() const {
  std::vector<Question> open = questions();
  return after_cut(open, std::vector<Fate>(open.size()));
}

// A file that no directory names, nor may come to name, plays no part.
bool Disk::may_be_named(NodeId id) const {
  const auto names_it = [&](const Node& node) {
    const auto is_it = [&](const auto& entry) { return entry.second == id; };
    return std::any_of(node.entries.begin(), node.entries.end(), is_it) ||
           std::any_of(node.pending.begin(), node.pending.end(), [&](const DiskOperation& change) {
             return change.node == id && change.kind != DiskOperation::Kind::remove;
           });
  };
  return std::any_of(nodes_.begin(), nodes_.end(),
                     [&](const Node& node) { return node.is_directory && names_it(node); });
}

std::vector<Disk::Question> Disk::questions() const {
  std::vector<Question> questions;
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    const Node& node = nodes_[id];
    if (!node.is_directory) {
      if (!node.pending.empty() && may_be_named(id)) add_file_questions(id, questions);
      continue;
    }
    for (std::size_t i = 0; i < node.pending.size(); ++i) {
      questions.push_back({id, i, 1, 2, false, node.pending[i].text});
    }
  }
  return questions;
}

void Disk::add_file_questions(NodeId id, std::vector<Question>& questions) const {
  const auto& pending = nodes_[id].pending;
  for (std::size_t i = 0; i < pending.size();) {
    Question question{id, i, 1, 2, false, pending[i].text};
    while (i + question.count < pending.size() &&
           same_place(pending[i], pending[i + question.count])) {
      ++question.count;
    }
    question.torn = pending[i].kind == DiskOperation::Kind::write;
    question.choices = question.count + 1 + (question.torn ? 1 : 0);
    i += question.count;
    questions.push_back(std::move(question));
  }
}

DiskImage Disk::after_cut(const std::vector<Question>& questions,
                          const std::vector<Fate>& fates) const {
  Survivors survivors;
  for (std::size_t i = 0; i < questions.size();) {
    const NodeId id = questions[i].node;
    const Node& node = nodes_[id];
    const std::size_t begin = i;
    while (i < questions.size() && questions[i].node == id) ++i;
    if (!node.is_directory) {
      survivors.bytes[id] = bytes_after_cut(std::span(questions).subspan(begin, i - begin),
                                            std::span(fates).subspan(begin, i - begin));
      continue;
    }
    Entries& entries = survivors.entries[id] = node.entries;
    for (std::size_t at = begin; at < i; ++at) {
      if (fates[at].choice != 0) change_entries(entries, node.pending[questions[at].first]);
    }
  }
  const auto entries_of = [&](NodeId id) -> const Entries& {
    const auto found = survivors.entries.find(id);
    return found == survivors.entries.end() ? nodes_[id].entries : found->second;
  };
  const auto bytes_of = [&](NodeId id) -> const Bytes& {
    const auto found = survivors.bytes.find(id);
    return found == survivors.bytes.end() ? nodes_[id].bytes : found->second;
  };
  DiskImage image;
  collect(root, "", entries_of, bytes_of, image);
  return image;
}

}  // namespace ckp::test

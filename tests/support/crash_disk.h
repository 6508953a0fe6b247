// A model of a disk under a file system: what was synced is there for ever, of everything else a
// power cut may leave any part. Stricter than any real file system: the entries of a directory and
// the sectors of a file reach the disk in no order at all until they are synced. A sector that
// arrives holds what it held in memory at some moment, whole; one that never did reads as zeros.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ckp/digest.h"

namespace ckp::test {

using Bytes = std::vector<std::byte>;

// The number of a file or directory of a Disk, like an inode's: it stays when the name changes.
using NodeId = std::uint32_t;

struct DiskOperation {
  enum class Kind { create, make_directory, rename, remove, write, truncate, sync };
  Kind kind = Kind::sync;
  NodeId node = 0;        // what is made, renamed, removed, changed or synced (file or directory)
  NodeId directory = 0;   // create, make_directory, rename, remove: where its entry is
  std::string name = {};  // the entry
  std::string new_name = {};  // rename, within the directory; whatever had this name before is gone
  std::uint64_t offset = 0;   // write; truncate: the new size
  std::shared_ptr<const Bytes> bytes = {};  // write
  std::string text = {};                    // for people: "rename runs/a/x -> y"
};

// Files and directories by path relative to the disk's root; a directory has no bytes.
using DiskImage = std::map<std::string, std::optional<Bytes>>;

// Makes these files and directories below an existing, empty directory.
void write_image(const std::filesystem::path& directory, const DiskImage& image);
Digest digest_of(const DiskImage& image);

// What becomes of one thing that was not synced when the power went.
struct Fate {
  // Of the alternatives of its Question: 0 is "nothing of it", the highest "all of it".
  std::size_t choice = 0;
  // For a choice between: which 512-byte sectors of a write arrive (bit i % 64 for its sector i),
  // and whether the file's size does all the same.
  std::uint64_t sectors = 0;
  bool sized = false;
};

class Disk {
 public:
  static constexpr NodeId root = 0;
  static constexpr std::uint64_t sector = 512;

  Disk();
  // All of it synced.
  explicit Disk(const DiskImage& image);

  void apply(const DiskOperation& operation);
  NodeId next_node() const { return static_cast<NodeId>(nodes_.size()); }
  // By visible path relative to the root.
  std::optional<NodeId> find(const std::filesystem::path& path) const;

  // As running processes see it.
  DiskImage visible() const;
  // Without anything that was not synced.
  DiskImage synced() const;

  // One thing that is open when the power is cut now: an entry's change (2 choices), or a write
  // (3: nothing, some sectors, all), or several writes to the very same place, of which each may be
  // the last that arrived.
  struct Question {
    NodeId node = 0;
    std::size_t first = 0, count = 1;  // of the node's pending operations
    std::size_t choices = 2;
    bool torn = false;  // the choice below the highest is a part of the last write
    std::string text;
  };
  std::vector<Question> questions() const;
  // One fate for each question.
  DiskImage after_cut(const std::vector<Question>& questions, const std::vector<Fate>& fates) const;

 private:
  struct Node {
    bool is_directory = false;
    std::map<std::string, NodeId> entries;  // synced
    std::map<std::string, NodeId> visible_entries;
    Bytes bytes;  // synced
    Bytes visible_bytes;
    std::vector<DiskOperation> pending;
  };
  using Entries = std::map<std::string, NodeId>;
  // What differs from the synced state.
  struct Survivors {
    std::map<NodeId, Entries> entries;
    std::map<NodeId, Bytes> bytes;
  };

  Node& make_node(NodeId id, bool is_directory);
  bool may_be_named(NodeId id) const;
  static void change_entries(Entries& entries, const DiskOperation& operation);
  static void change_bytes(Bytes& bytes, const DiskOperation& operation);
  static void let_arrive(Bytes& disk, const Bytes& memory, const DiskOperation& write,
                         const Fate& fate);
  Bytes bytes_after_cut(std::span<const Question> questions, std::span<const Fate> fates) const;
  void add_file_questions(NodeId id, std::vector<Question>& questions) const;
  template <class EntriesOf, class BytesOf>
  void collect(NodeId id, const std::string& path, const EntriesOf& entries_of,
               const BytesOf& bytes_of, DiskImage& image) const;

  std::vector<Node> nodes_;
};

}  // namespace ckp::test

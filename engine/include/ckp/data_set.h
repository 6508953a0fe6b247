// What a run trains on, as a trainer describes it: recorded with the run, found by filters
// (data.version = '2026-08', ckp/filter.h) and shown by `ckptool show`.
//
//   ckp::DataSet data{.name = "fashion-mnist", .version = "2026-08"};
//   data.add_files("/data/fashion-mnist");
//   data.splits = {{"train", 60000}, {"validation", 10000}};
//   store.create_run({.name = "cnn", .data = data});
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "ckp/digest.h"
#include "ckp/value.h"

namespace ckp {

// A value type. What is left empty is not recorded.
struct DataSet {
  std::string name = {};
  std::string version = {};
  std::map<std::string, Digest> files = {};         // XXH3-128 of each, by name
  std::map<std::string, std::int64_t> splits = {};  // samples of "train", "validation", ...
  // Samples of each class: of the training split, unless a name says otherwise.
  std::map<std::string, std::int64_t> classes = {};
  // What the inputs went through, such as {"mean": 0.286, "std": 0.353}; lists for channels.
  Value::Map normalization = {};
  Value::Map more = {};  // further keys; they win over those below

  // Digests a file under its name, or all files below a directory under their paths in it. Reads
  // every byte. Throws Error(not_found), Error(io).
  void add_files(const std::filesystem::path& path);
  // Of the names and digests of all files: the same for the same bytes under the same names.
  Digest digest() const;

  bool empty() const;
  // As it is stored: name, version, splits, classes, normalization, and when there are files
  // digest, file_count and, of at most 1000, files: a map of name to 32 hexadecimal digits.
  // Error(invalid_argument) for names that are no UTF-8.
  Value::Map to_map() const;
};

}  // namespace ckp

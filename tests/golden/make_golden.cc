// Makes the golden files, or checks that they still come out the same:
//   ckp_make_golden write tests/golden/v1
//   ckp_make_golden check tests/golden/v1
// Files of a released version are never made again: a new version gets a new folder.
#include <fstream>
#include <iostream>
#include <iterator>

#include "golden_files.h"

namespace {

using ckp::golden::File;

void write(const std::string& path, const File& file) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(file.bytes.data()),
            static_cast<std::streamsize>(file.bytes.size()));
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

bool same(const std::string& path, const File& file) {
  std::ifstream in(path, std::ios::binary);
  const std::string found{std::istreambuf_iterator<char>(in), {}};
  return found == std::string(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc == 3 ? argv[1] : "";
  if (verb != "write" && verb != "check") {
    std::cerr << "usage: ckp_make_golden write|check FOLDER\n";
    return 2;
  }
  int different = 0;
  for (const auto& files : {ckp::golden::good_files(), ckp::golden::refused_files()}) {
    for (const File& file : files) {
      const std::string path = std::string(argv[2]) + "/" + file.name;
      if (verb == "write") {
        write(path, file);
      } else if (file.reproducible && !same(path, file)) {
        std::cerr << path << ": the code makes other bytes\n";
        ++different;
      }
    }
  }
  return different == 0 ? 0 : 1;
}

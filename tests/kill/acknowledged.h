// What a trainer has been told is safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace ckp::test {

struct Acknowledged {
  std::map<std::uint64_t, std::int64_t> saves;  // commit -> epoch
  std::int64_t last_epoch = 0;                  // saved
  std::set<std::int64_t> logs;                  // epochs
  std::vector<long> processes;                  // ids, as each saw its own
};

inline Acknowledged read_acknowledged(const std::filesystem::path& file) {
  Acknowledged all;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string what;
    std::int64_t number = 0;
    words >> what >> number;
    if (what == "begin") all.processes.push_back(number);
    if (what == "log") all.logs.insert(number);
    if (what != "save") continue;
    std::uint64_t commit = 0;
    words >> commit;
    all.saves[commit] = number;
    all.last_epoch = number;
  }
  return all;
}

}  // namespace ckp::test

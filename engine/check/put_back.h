// Packs and journals that lie in another run's directory or (journals) under each other's names,
// and run directories under another run's name: hands moved them, and they are as good as before.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "retention/snapshot.h"

namespace ckp {

// A rename. To be done in the order in which they were found.
struct PutBack {
  std::filesystem::path from, to;
  std::string run;      // name, when it is known
  std::string message;  // what is wrong, and where it goes
  friend bool operator==(const PutBack&, const PutBack&) = default;
};

struct PutBacks {
  std::vector<PutBack> moves;
  std::map<std::filesystem::path, std::string> stuck;  // files that have to stay, and why
};

// A pack's manifest and a journal's header say whose they are. A directory in which everything is
// of one other run, which has no directory, gets its name; any other file goes to its own run's
// directory, unless it has none, or a file of that name is there and stays. Changes nothing.
PutBacks find_put_backs(FileSystem& fs, const StoreLayout& layout, const Snapshot& snapshot);

// Durable when it returns. Under the store's lock.
void put_back(FileSystem& fs, const PutBack& move);

}  // namespace ckp

// Checking the journals of a run against themselves and against the marks in the manifests.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "retention/snapshot.h"

namespace ckp {

struct JournalProblem {
  std::string path;  // of the journal, also of one that is missing
  JournalName name;
  JournalMark mark;  // the highest of a checkpoint; empty: none
  std::string message;
  bool away = false;  // a link to nowhere: its bytes may come back
};

struct JournalCheck {
  std::vector<JournalProblem> problems;
  std::vector<std::string> notes;
  std::vector<std::string> newer;  // files of a newer version
};

// Below the highest mark of a checkpoint a journal is complete, or damaged; above it a gap that
// reaches the end is what a crash leaves. Losses that a repair has recorded are notes.
JournalCheck check_journals(FileSystem& fs, const RunFacts& run);

}  // namespace ckp

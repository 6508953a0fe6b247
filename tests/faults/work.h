// The kinds of work that the fault loops break off at every point, and what must hold afterwards.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ckp/file_system.h"
#include "ckp/store.h"

namespace ckp::test {

// Made anew for every fault, in an empty directory. A fault comes only between prepare() and
// check().
class Work {
 public:
  virtual ~Work() = default;
  virtual void prepare() {}
  // Throws when it fails; what it returns from has happened.
  virtual void work() = 0;
  // The oracle, with expectations of its own: nothing that was there before is lost; what succeeded
  // is there, and what failed is there as a whole or not at all; the objects that met the fault can
  // be used on; the store opens without repair, verifies, and takes another save.
  virtual void check(bool succeeded) = 0;
};

// "first_save", "save_with_sharing", "save_with_patches", "save_with_differences",
// "group_of_saves", "resume_and_save", "prune", "trash", "remove_run", "say_later", "convert",
// "rebuild_index", "read".
const std::vector<std::string>& work_names();
// All files are below `place`, and are reached through `fs`.
std::unique_ptr<Work> make_work(const std::string& name, const std::filesystem::path& place,
                                const std::shared_ptr<FileSystem>& fs);

}  // namespace ckp::test

// Where and from what a program runs: the facts with which its results can be explained later.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string_view>

#include "ckp/value.h"

namespace ckp {

struct CaptureOptions {
  // A directory of the work tree that the program was built from; empty: the working directory.
  std::filesystem::path source = {};
  // How long all calls of git together may take; one that takes longer is killed.
  std::chrono::milliseconds git_timeout{5000};
  // Bytes of the diff that are kept at most.
  std::size_t max_diff = std::size_t{256} << 10;
};

// The key of capture_environment's result that holds what the work tree differs by from its commit.
// Store::create_run and resume_run take it out of the environment and store it apart, so that
// listing runs stays cheap: Store::source_diff reads it.
inline constexpr std::string_view git_diff_key = "git_diff";

// Captures the environment of this process. Never throws for what cannot be found out: that has no
// key. Keys of `own` win.
//
//   library       "ckpstore 0.1.0"
//   compiler      that built the library, as in "gcc 12.2.0"
//   os, kernel    "Debian GNU/Linux 12 (bookworm)", "Linux 6.1.0-18-amd64 x86_64"
//   host, user
//   cpu, cores    the processor's model, and how many cores this process may use
//   memory        bytes of the machine
//   gpus          models, as the NVIDIA driver lists them
//   command_line  as it can be pasted into a shell; at most 16 KiB
//   directory     the working directory
//   slurm_job     $SLURM_JOB_ID (of an array $SLURM_ARRAY_JOB_ID_$SLURM_ARRAY_TASK_ID)
//   git_commit, git_branch    of the work tree around `source`; no branch: detached
//   git_dirty                 whether files that git knows differ from the commit
//   git_diff                  then the diff (bytes); git_diff_bytes its size, and git_diff_cut how
//                             many of its bytes are kept when it is larger than max_diff
//   git_error                 why the five above are not there although there is a work tree
//
// git runs as a child process without a shell, in a process group of its own, with its input empty
// and without the hooks of fsmonitor and external diffs; it takes no lock of the repository. It is
// not started where no `.git` is in sight and $GIT_DIR is not set. Blocks for git's time, 5 seconds
// at most. Call it before training starts; from any thread.
Value::Map capture_environment(const Value::Map& own = {}, const CaptureOptions& options = {});

}  // namespace ckp

// Scripts that let a shell complete ckptool's commands, options, runs and aliases.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace ckp::tool {

// Both ask `ckptool completion --names STORE` for the names in a store, for 2 s at the most.
std::string bash_completion(const CLI::App& program);
std::string zsh_completion(const CLI::App& program);

}  // namespace ckp::tool

// The manual page, made from the same descriptions and examples as --help.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace ckp::tool {

// roff for man(1).
std::string manual_page(const CLI::App& program, const std::string& version);

}  // namespace ckp::tool

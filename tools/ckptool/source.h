// What a command reads: a checkpoint of a store, or a file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ckp/load.h"
#include "command.h"

namespace ckp::tool {

// Whether `argument` is meant as a file: one is there, or its ending says so (.ckp, .safetensors,
// .pt, .pth, .bin).
bool means_file(const std::string& argument, FileSystem& fs);
bool is_file(const std::filesystem::path& path, FileSystem& fs);

// Opens a standalone `.ckp`. A file of another kind is refused with the command that converts it.
Checkpoint open_checkpoint_file(const std::string& path, Context& context);

// How much of a checkpoint is going to be read.
enum class Read { description, everything };

// The checkpoint at an address. For RUN and RUN@latest the newest one that is undamaged as far as
// it is going to be read; the ones that are passed over are named on standard error.
Checkpoint open_address(const Store& store, const std::string& address, Read how_much);

// [STORE] ADDRESS, or FILE.
Checkpoint open_source(const std::vector<std::string>& arguments, const std::string& store_option,
                       Context& context);

}  // namespace ckp::tool

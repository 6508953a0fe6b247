// ckptool extract: files that were saved with a checkpoint, written out again.
#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "artifact_text.h"
#include "ckp/artifacts.h"
#include "command.h"
#include "render.h"
#include "source.h"

namespace ckp::tool {
namespace {

namespace stdfs = std::filesystem;

// What a link in the folder may lead to is somebody else's.
void check_inside(const stdfs::path& folder, const stdfs::path& parent) {
  std::error_code error;
  const stdfs::path real = stdfs::canonical(folder, error);
  const stdfs::path inner = stdfs::canonical(parent, error);
  if (!error &&
      std::mismatch(real.begin(), real.end(), inner.begin(), inner.end()).first == real.end()) {
    return;
  }
  throw Error(ErrorCode::invalid_argument,
              fmt::format("{}: leads out of {} by a symbolic link; choose another folder (-o DIR)",
                          printable(parent.string()), printable(folder.string())));
}

class Extract : public Command {
 public:
  Extract()
      : Command("extract",
                "Write files that were saved with a checkpoint into a folder: those named, or all; "
                "artifacts lists them",
                "ckptool extract ./store cnn-lr3@best tokenizer.json -o ./serving\n"
                "ckptool extract model.ckp") {}

 private:
  void declare() override {
    store_positional();
    positional("ADDRESS", "The checkpoint: RUN[@WHICH], @ALIAS or a .ckp file");
    positional("NAME", "Artifacts as artifacts lists them; left out: all", true);
    option("-o,--output", "DIR", folder_, "The folder, made when it is not there; left out: here");
    flag("--force,-f", force_, "Replace files that are there");
  }

  ExitCode run(Context& context) override {
    const std::vector<std::string> given = arguments();
    if (!given.empty() && store_option().empty() && means_file(given[0], *context.file_system)) {
      return extract(context, open_checkpoint_file(given[0], context),
                     {given.begin() + 1, given.end()});
    }
    const StoreArgument found = store_and_rest(context, 1, SIZE_MAX, "ADDRESS");
    const OpenedStore store(context, found.path);
    return extract(context, open_address(store, found.rest[0], Read::description),
                   {found.rest.begin() + 1, found.rest.end()});
  }

  ExitCode extract(Context& context, const Checkpoint& checkpoint,
                   const std::vector<std::string>& names) const {
    FileSystem& fs = *context.file_system;
    const std::vector<Artifact> wanted = choose(checkpoint, names);
    const stdfs::path folder = folder_;
    check_outside_stores(folder / "file", fs);
    // What can be refused comes before anything is written.
    for (const Artifact& each : wanted) check_target(fs, folder / each.name);
    std::vector<std::string> damage;
    Json files = Json::array();
    std::string text;
    for (const Artifact& each : wanted) {
      const stdfs::path target = folder / each.name;
      make_folders(fs, folder, stdfs::path(each.name).parent_path());
      try {
        extract_artifact(checkpoint, each.name, target, force_, context.file_system);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::corrupt) throw;
        damage.emplace_back(error.what());
        continue;
      }
      files.push_back({{"name", each.name},
                       {"file", target.string()},
                       {"size", each.size},
                       {"xxh3_128", each.digest.hex()}});
      text += fmt::format("wrote {}: {}\n", printable(target.string()), exact_size(each.size));
    }
    if (wanted.empty()) text = "no artifacts\n";
    print(context, {{"files", files}, {"damage", damage}}, quiet() ? "" : text);
    context.output.flush();
    for (const std::string& each : damage) complain(each);
    return damage.empty() ? ExitCode::ok : ExitCode::damage;
  }

  static std::vector<Artifact> choose(const Checkpoint& checkpoint,
                                      const std::vector<std::string>& names) {
    std::vector<Artifact> all = artifacts_of(checkpoint);
    const auto is_named = [&](const Artifact& one) {
      return std::ranges::find(names, one.name) != names.end();
    };
    for (const std::string& name : names) {
      if (std::ranges::find(all, name, &Artifact::name) != all.end()) continue;
      read_artifact(checkpoint, name, [](std::span<const std::byte>) {});  // says what there is
    }
    if (!names.empty()) std::erase_if(all, [&](const Artifact& one) { return !is_named(one); });
    for (const Artifact& each : all) check_stored_name(each.name);
    return all;
  }

  // Whoever made the checkpoint may have put anything there.
  static void check_stored_name(const std::string& name) {
    try {
      check_artifact_name(name);
    } catch (const Error& error) {
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}; nothing was written; name those that you want", error.what()));
    }
  }

  void check_target(FileSystem& fs, const stdfs::path& target) const {
    const auto there = fs.status(target);
    if (!there || (force_ && !there->is_directory)) return;
    throw Error(ErrorCode::already_exists,
                there->is_directory
                    ? fmt::format("{}: is a folder; choose another one to write into (-o DIR)",
                                  printable(target.string()))
                    : fmt::format("{}: exists already; another folder (-o DIR), or --force to "
                                  "replace it",
                                  printable(target.string())));
  }

  static void make_folders(FileSystem& fs, const stdfs::path& folder, const stdfs::path& below) {
    if (!fs.status(folder)) fs.make_directory(folder);
    stdfs::path at = folder;
    check_inside(folder, at);
    for (const stdfs::path& segment : below) {
      at /= segment;
      if (!fs.status(at)) fs.make_directory(at);
      check_inside(folder, at);
    }
  }

  std::string folder_ = ".";
  bool force_ = false;
};

}  // namespace

std::unique_ptr<Command> make_extract() { return std::make_unique<Extract>(); }

}  // namespace ckp::tool

// ckptool convert: between checkpoints, standalone .ckp files and safetensors.
#include "ckp/convert.h"

#include <fmt/format.h>

#include "ckp/artifacts.h"
#include "command.h"
#include "render.h"
#include "source.h"
#include "store_argument.h"

namespace ckp::tool {
namespace {

enum class Target { ckp, safetensors };

Target target_of(const std::string& path) {
  const std::string ending = std::filesystem::path(path).extension().string();
  if (ending == ".ckp") return Target::ckp;
  if (ending == ".safetensors") return Target::safetensors;
  if (ending == ".pt" || ending == ".pth") {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: ckptool writes no pickles; write .safetensors, which Python reads "
                            "with safetensors.torch.load_file",
                            printable(path)));
  }
  throw UsageError(
      fmt::format("DEST {}: expected a name that ends in .ckp or .safetensors", printable(path)));
}

class Convert : public Command {
 public:
  Convert()
      : Command("convert",
                "Write a checkpoint or a .ckp file as .safetensors or standalone .ckp, or a "
                ".safetensors file as .ckp",
                "ckptool convert ./store cnn-lr3@best model.safetensors\n"
                "ckptool convert model.safetensors model.ckp") {}

 private:
  void declare() override {
    positional("SOURCE", "A file, or a checkpoint's address, or the store of ADDRESS");
    positional("ADDRESS", "The checkpoint, when SOURCE is a store");
    positional("DEST", "The file to write; its ending says what it becomes");
    option("--store", "DIR", store_, "The store, when SOURCE is an address");
    options("--part", "NAME", parts_,
            "For .safetensors: write this part (model, ema, ...) instead of the model; may be "
            "repeated");
    flag("--all", all_, "For .safetensors: write every part")->excludes("--part");
    option(
        "--compression", "LEVEL", compression_,
        "Of a .ckp file that is made of .safetensors: none, fast, balanced or archive (smallest)");
    flag("--force,-f", force_, "Replace DEST when it exists");
  }

  ExitCode run(Context& context) override {
    std::vector<std::string> given = arguments();
    check_count(given, 2, 3, given.empty() ? "SOURCE" : "DEST");
    const std::string destination = given.back();
    given.pop_back();
    const Target target = target_of(destination);
    check_options(target);
    const ConvertReport report = from_safetensors(given, context)
                                     ? convert_in(given[0], destination, target, context)
                                     : convert_out(given, destination, target, context);
    print(context,
          {{"file", destination},
           {"tensors", report.tensors},
           {"bytes", report.bytes},
           {"left_out", report.left_out}},
          quiet() ? "" : text_of(report, destination));
    return ExitCode::ok;
  }

  void check_options(Target target) const {
    if (target == Target::ckp && (all_ || !parts_.empty())) {
      throw UsageError("--part and --all are for .safetensors; a .ckp file gets everything");
    }
  }

  EncodeOptions encode_options() const {
    const auto level = format::compression_named(compression_);
    if (!level) {
      throw UsageError(fmt::format("--compression {}: expected none, fast, balanced or archive",
                                   printable(compression_)));
    }
    return {.compression = *level};
  }

  void check_free(const std::string& destination, Context& context) const {
    check_outside_stores(destination, *context.file_system);
    if (force_ || !context.file_system->status(destination).has_value()) return;
    throw Error(ErrorCode::already_exists,
                fmt::format("{}: exists already; another name, or --force to replace it",
                            printable(destination)));
  }

  bool from_safetensors(const std::vector<std::string>& source, Context& context) const {
    if (source.size() != 1 || !is_file(source[0], *context.file_system)) return false;
    const FileKind kind = detect_kind(source[0], *context.file_system);
    // A header that lies about its length looks like nothing; reading it says what is wrong.
    return kind == FileKind::safetensors ||
           (kind == FileKind::unknown && source[0].ends_with(".safetensors"));
  }

  ConvertReport convert_in(const std::string& source, const std::string& destination, Target target,
                           Context& context) const {
    if (target != Target::ckp) {
      throw UsageError(fmt::format("{}: is a safetensors file already; DEST must end in .ckp",
                                   printable(source)));
    }
    check_free(destination, context);
    return convert_safetensors(source, destination, encode_options(), context.file_system);
  }

  ConvertReport convert_out(const std::vector<std::string>& source, const std::string& destination,
                            Target target, Context& context) const {
    if (compression_ != default_compression) {
      throw UsageError(
          "--compression is for .safetensors that become .ckp; the chunks of a checkpoint are "
          "copied as they are");
    }
    const Checkpoint from = open_source(source, store_, context);
    check_free(destination, context);
    if (target == Target::ckp) return write_standalone(from, destination, context.file_system);
    return write_safetensors(from, destination, {.parts = parts_, .all = all_},
                             context.file_system);
  }

  static std::string text_of(const ConvertReport& report, const std::string& destination) {
    std::string text = fmt::format("wrote {}: {}, {}\n", printable(destination),
                                   counted(report.tensors, "tensor"), exact_size(report.bytes));
    std::vector<std::string> parts = report.left_out;
    const bool artifacts = std::erase(parts, artifacts_part) != 0;
    if (!parts.empty()) {
      text +=
          fmt::format("left out: {} (--part NAME or --all writes them)\n", printable(join(parts)));
    }
    if (artifacts) text += "left out: artifacts (ckptool extract writes them)\n";
    return text;
  }

  static constexpr const char* default_compression = "balanced";
  std::string store_, compression_ = default_compression;
  std::vector<std::string> parts_;
  bool all_ = false;
  bool force_ = false;
};

}  // namespace

std::unique_ptr<Command> make_convert() { return std::make_unique<Convert>(); }

}  // namespace ckp::tool

// ckptool digest: one number for the contents of a checkpoint's tensors.
#include <fmt/format.h>

#include "ckp/state_digest.h"
#include "command.h"
#include "render.h"
#include "source.h"

namespace ckp::tool {
namespace {

Json digest_json(const StateDigest& digest) {
  Json tensors = Json::array();
  for (const TensorDigest& each : digest.tensors) {
    tensors.push_back({{"name", each.name},
                       {"dtype", std::string(to_string(each.dtype))},
                       {"shape", each.shape},
                       {"xxh3_128", each.digest.hex()}});
  }
  return {{"xxh3_128", digest.total.hex()}, {"tensors", tensors}};
}

class DigestCommand : public Command {
 public:
  DigestCommand()
      : Command("digest",
                "Print the XXH3-128 of a checkpoint's tensors (names, dtypes, shapes, values), "
                "each and in all",
                "ckptool digest ./store cnn-lr3@latest --part model\n"
                "ckptool digest model.ckp") {}

 private:
  void declare() override {
    store_positional();
    positional("ADDRESS", "A checkpoint, or a standalone .ckp file");
    option("--part", "NAME", part_, "Only this part, for example model");
  }

  ExitCode run(Context& context) override {
    const Checkpoint checkpoint = open_source(arguments(), store_option(), context);
    const StateDigest digest = state_digest(checkpoint, part_);
    std::string text;
    if (!quiet()) {
      for (const TensorDigest& each : digest.tensors) {
        text += fmt::format("{}  {}\n", each.digest.hex(), printable(each.name));
      }
    }
    text += fmt::format("{}  total, {}\n", digest.total.hex(),
                        counted(digest.tensors.size(), "tensor"));
    print(context, digest_json(digest), text);
    return ExitCode::ok;
  }

  std::string part_;
};

}  // namespace

std::unique_ptr<Command> make_digest() { return std::make_unique<DigestCommand>(); }

}  // namespace ckp::tool

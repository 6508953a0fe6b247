// ckptool tag: gives tags to a checkpoint that was saved without them.
#include <fmt/format.h>

#include "command.h"
#include "render.h"
#include "source.h"

namespace ckp::tool {
namespace {

class Tag : public Command {
 public:
  Tag()
      : Command("tag",
                "Give a checkpoint tags, or take them away; prune --keep-tag and every filter see "
                "them at once",
                "ckptool tag ./store cnn-lr3@best reviewed paper=figure-3\n"
                "ckptool tag ./store @production --remove reviewed") {}

 private:
  void declare() override {
    store_positional();
    positional("ADDRESS", "The checkpoint: RUN[@WHICH] or @ALIAS");
    positional("NAME[=VALUE]", "Tags to give; one that is there gets the new value", true);
    options("--remove", "NAME", remove_, "A tag to take away; may be repeated");
  }

  ExitCode run(Context& context) override {
    const std::size_t least = remove_.empty() ? 2 : 1;
    const StoreArgument found = store_and_rest(context, least, SIZE_MAX, "ADDRESS and NAME");
    const Value::Map tags = tags_in(found.rest);
    OpenedStore store(context, found.path);
    CheckpointRecord record = open_address(store, found.rest[0], Read::description).record();
    // First what can be refused: there may be no such tag.
    if (!remove_.empty()) record = store.remove_tags(record, remove_);
    if (!tags.empty()) record = store.tag(record, tags);
    print(context, to_json(record), quiet() ? "" : text_of(record));
    return ExitCode::ok;
  }

  // Without a value it is a flag, and true.
  static Value::Map tags_in(const std::vector<std::string>& rest) {
    Value::Map tags;
    for (auto text = rest.begin() + 1; text < rest.end(); ++text) {
      const auto equals = text->find('=');
      const Value value =
          equals == std::string::npos ? Value(true) : Value(text->substr(equals + 1));
      tags.insert_or_assign(text->substr(0, equals), value);
    }
    return tags;
  }

  static std::string text_of(const CheckpointRecord& record) {
    std::vector<std::string> tags;
    for (const auto& [name, value] : record.tags) {
      tags.push_back(value == Value(true) ? printable(name)
                                          : printable(name) + "=" + value_text(value));
    }
    return fmt::format("{}: {}\n", address_text(record),
                       tags.empty() ? "no tags" : "tags " + join(tags));
  }

  std::vector<std::string> remove_;
};

}  // namespace

std::unique_ptr<Command> make_tag() { return std::make_unique<Tag>(); }

}  // namespace ckp::tool

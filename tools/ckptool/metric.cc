// ckptool metric: what was measured of a checkpoint after it was saved.
#include <fmt/format.h>

#include <charconv>
#include <map>

#include "command.h"
#include "render.h"
#include "source.h"

namespace ckp::tool {
namespace {

double number_in(const std::string& text, std::string_view digits) {
  double value = 0;
  const char* const end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, value);
  if (result.ec == std::errc() && result.ptr == end) return value;
  throw UsageError(fmt::format("\"{}\": expected NAME=VALUE, with a number such as 0.91, 1e-3, nan",
                               printable(text)));
}

class Metric : public Command {
 public:
  Metric()
      : Command("metric",
                "Attach metrics to a checkpoint that were measured after it was saved; best, "
                "prune --keep-best and every filter see them at once",
                "ckptool metric ./store cnn-lr3@7f3c02d1 test/auc=0.912 test/loss=0.34") {}

 private:
  void declare() override {
    store_positional();
    positional("ADDRESS", "The checkpoint: RUN[@WHICH] or @ALIAS");
    positional("NAME=VALUE", "Metrics; one that is there gets the new value", true);
  }

  ExitCode run(Context& context) override {
    const StoreArgument found = store_and_rest(context, 2, SIZE_MAX, "ADDRESS and NAME=VALUE");
    const auto metrics = metrics_in(found.rest);
    OpenedStore store(context, found.path);
    const Checkpoint checkpoint = open_address(store, found.rest[0], Read::description);
    const CheckpointRecord record = store.add_metrics(checkpoint.record(), metrics);
    print(context, to_json(record), quiet() ? "" : text_of(record, metrics));
    return ExitCode::ok;
  }

  static std::map<std::string, double> metrics_in(const std::vector<std::string>& rest) {
    std::map<std::string, double> metrics;
    for (auto text = rest.begin() + 1; text < rest.end(); ++text) {
      const auto equals = text->rfind('=');  // a name may hold one
      const bool has_both = equals != std::string::npos && equals > 0;
      const std::string digits = has_both ? text->substr(equals + 1) : "";
      metrics[text->substr(0, equals)] = number_in(*text, digits);
    }
    return metrics;
  }

  static std::string text_of(const CheckpointRecord& record,
                             const std::map<std::string, double>& metrics) {
    std::vector<std::string> parts;
    for (const auto& [name, value] : metrics) {
      parts.push_back(printable(name) + " " + number_text(value));
    }
    return fmt::format("{}: {}\n", address_text(record), join(parts));
  }
};

}  // namespace

std::unique_ptr<Command> make_metric() { return std::make_unique<Metric>(); }

}  // namespace ckp::tool

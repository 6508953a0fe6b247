// ckptool show: everything about one checkpoint, or a run with its latest one.
#include <fmt/format.h>

#include <map>

#include "artifact_text.h"
#include "ckp/address.h"
#include "ckp/artifacts.h"
#include "ckp/certificate.h"
#include "command.h"
#include "facts.h"
#include "render.h"
#include "run_text.h"
#include "source.h"
#include "time_argument.h"

namespace ckp::tool {
namespace {

std::uint64_t elements_of(const format::TensorEntry& tensor) {
  std::uint64_t count = 1;
  for (const std::int64_t size : tensor.shape) count *= static_cast<std::uint64_t>(size);
  return count;
}

std::string part_of(const std::string& name) { return name.substr(0, name.find('/')); }

struct Part {
  std::uint64_t tensors = 0, elements = 0, bytes = 0;
};

std::map<std::string, Part> parts_of(const format::Manifest& manifest) {
  std::map<std::string, Part> parts;
  for (const format::TensorEntry& tensor : manifest.tensors) {
    if (is_artifact(manifest, tensor)) continue;
    Part& part = parts[part_of(tensor.name)];
    ++part.tensors;
    part.elements += elements_of(tensor);
    part.bytes += elements_of(tensor) * size_of(tensor.dtype);
  }
  return parts;
}

std::string parts_table(const format::Manifest& manifest) {
  Table table({{"PART"},
               {"TENSORS", Table::Align::right},
               {"ELEMENTS", Table::Align::right},
               {"SIZE", Table::Align::right}});
  for (const auto& [name, part] : parts_of(manifest)) {
    table.add(
        {printable(name), grouped(part.tensors), grouped(part.elements), human_size(part.bytes)});
  }
  return table.text();
}

std::string tensors_table(const format::Manifest& manifest) {
  Table table({{"TENSOR"}, {"DTYPE"}, {"SHAPE"}, {"SIZE", Table::Align::right}});
  for (const format::TensorEntry& tensor : manifest.tensors) {
    if (is_artifact(manifest, tensor)) continue;
    table.add({printable(tensor.name), std::string(to_string(tensor.dtype)),
               shape_text(tensor.shape), human_size(elements_of(tensor) * size_of(tensor.dtype))});
  }
  return table.text();
}

// The user's.
Value::Map values_of(const Checkpoint& checkpoint) {
  Value::Map values = checkpoint.values();
  if (!artifacts_of(checkpoint).empty()) values.erase(std::string(artifacts_part));
  return values;
}

Json manifest_json(const Checkpoint& checkpoint) {
  const format::Manifest& manifest = checkpoint.manifest();
  Json parts = Json::object();
  for (const auto& [name, part] : parts_of(manifest)) {
    parts[name] = {{"tensors", part.tensors}, {"elements", part.elements}, {"bytes", part.bytes}};
  }
  Json tensors = Json::array();
  for (const format::TensorEntry& tensor : manifest.tensors) {
    if (!is_artifact(manifest, tensor)) tensors.push_back(to_json(tensor));
  }
  return {{"parts", parts},
          {"tensors", tensors},
          {"values", to_json(values_of(checkpoint))},
          {"artifacts", to_json(artifacts_of(checkpoint))}};
}

// What the saving program was, and what a resume will lack.
std::string certificate_text(const Value& certificate) {
  const Value::Map* parts = certificate.get_if<Value::Map>();
  if (parts == nullptr) return "";
  Facts rows = flatten(*parts);
  std::erase_if(rows, [](const auto& row) { return row.first == "warnings"; });
  std::string text = "\ncertificate\n" + facts_text(rows, "  ");
  const Value* warnings = certificate.find("warnings");
  const Value::List* list = warnings == nullptr ? nullptr : warnings->get_if<Value::List>();
  if (list == nullptr) return text;
  for (const Value& warning : *list) text += "  warning: " + value_text(warning) + "\n";
  return text;
}

class Show : public Command {
 public:
  Show()
      : Command(
            "show",
            "Show a checkpoint: counters, metrics, what it was made by (run, commit, data, "
            "parameters), tensors, values, its resume certificate; for a run without @ also the "
            "run's record with its attempts",
            "ckptool show ./store cnn-lr3@best\n"
            "ckptool show ./store cnn-lr3\n"
            "ckptool show ./store @production --at 2026-10-03T14:00\n"
            "ckptool show model.ckp") {}

 private:
  void declare() override {
    store_positional();
    positional("ADDRESS",
               "RUN[@latest|@final|@N|@step:N|@best[:METRIC[:min|max]]|@ID], @ALIAS or "
               "a .ckp file");
    option("--at", "TIME", at_,
           "What @ALIAS pointed at then: 2026-10-03T14:00, by the local clock");
    flag("--source-diff", source_diff_,
         "Print only what the source of the program differed by from its commit");
  }

  ExitCode run(Context& context) override {
    const std::vector<std::string> given = arguments();
    if (!at_.empty()) return show_past(context);
    if (given.size() == 1 && store_option().empty() && means_file(given[0], *context.file_system)) {
      show(context, open_checkpoint_file(given[0], context), {});
      return ExitCode::ok;
    }
    const StoreArgument found = store_and_rest(context, 1, 1, "ADDRESS");
    const OpenedStore store(context, found.path);
    const std::string& address = found.rest[0];
    if (address.find('@') != std::string::npos) {
      show_checkpoint(context, store, open_address(store, address, Read::description));
      return ExitCode::ok;
    }
    const RunRecord record = store.run(address);
    if (source_diff_) {
      const std::uint32_t newest = record.attempts.empty() ? 0 : record.attempts.back().number;
      print_source_diff(context, store, record, newest);
      return ExitCode::ok;
    }
    const RunHistory history(record, store.checkpoints(record.id));
    if (history.checkpoints().empty()) {
      print(context, {{"run", history_json(history)}, {"checkpoint", nullptr}},
            run_text(history) + "\nno checkpoints yet\n");
      return ExitCode::ok;
    }
    show(context, open_address(store, address, Read::description),
         {{{"run", history_json(history)}}, run_text(history) + "\n", ""});
    return ExitCode::ok;
  }

  ExitCode show_past(Context& context) {
    const std::int64_t time_ns = parse_time_ns(at_);
    const StoreArgument found = store_and_rest(context, 1, 1, "ADDRESS");
    const Address address = parse_address(found.rest[0]);
    if (address.kind != Address::Kind::alias) {
      throw UsageError(
          fmt::format("--at goes with an @ALIAS, which {} is not", printable(found.rest[0])));
    }
    const OpenedStore store(context, found.path);
    show_checkpoint(context, store,
                    store.open_checkpoint(store.find_alias_at(address.text, time_ns)));
    return ExitCode::ok;
  }

  // One that was asked for itself: with what it was made by.
  void show_checkpoint(Context& context, const Store& store, const Checkpoint& checkpoint) {
    const RunRecord run = store.run(checkpoint.record().run.hex());
    const std::uint32_t attempt = checkpoint.record().attempt;
    if (source_diff_) return print_source_diff(context, store, run, attempt);
    show(context, checkpoint,
         {{{"made_by", maker_json(run, attempt)}}, "", maker_text(run, attempt)});
  }

  void print_source_diff(Context& context, const Store& store, const RunRecord& run,
                         std::uint32_t attempt) {
    const auto diff = store.source_diff(run, attempt);
    if (!diff && !json()) {
      const Value::Map environment = run.environment_in(attempt);
      const auto error = environment.find("git_error");
      const auto* text = error == environment.end() ? nullptr : error->second.get_if<std::string>();
      const std::string why =
          text == nullptr ? "its work tree was as committed, or there was none" : printable(*text);
      throw Error(ErrorCode::not_found,
                  fmt::format("run {}: attempt {} has recorded no source diff: {}",
                              printable(run.name), attempt, why));
    }
    if (diff && run.environment_in(attempt).contains("git_diff_cut")) {
      complain(
          "warning: the diff was cut when it was recorded (it was larger than the program's "
          "limit), so git apply will not take it as a whole");
    }
    print(context,
          {{"run", run.name},
           {"attempt", attempt},
           {"source_diff", diff ? Json(*diff) : Json(nullptr)}},
          diff.value_or(""));
  }

  // What is shown around the checkpoint.
  struct Frame {
    Json json = Json::object();
    std::string before, maker;
  };

  void show(Context& context, const Checkpoint& checkpoint, const Frame& around) {
    Json json = around.json;
    json["checkpoint"] = to_json(checkpoint.record());
    json["file"] = checkpoint.name();
    json.update(manifest_json(checkpoint));
    print(context, json, around.before + text_of(checkpoint, around.maker));
  }

  // `maker`: stands between the metrics and the tensors.
  static std::string text_of(const Checkpoint& checkpoint, const std::string& maker) {
    Facts facts = checkpoint_facts(checkpoint.record());
    facts.emplace_back("file", printable(checkpoint.name()));
    std::string text = facts_text(facts);
    if (const Facts metrics = metric_facts(checkpoint.record()); !metrics.empty()) {
      text += "\nmetrics\n" + facts_text(metrics, "  ");
    }
    text += later_text(checkpoint.record().later);
    text += maker;
    const format::Manifest& manifest = checkpoint.manifest();
    if (!parts_of(manifest).empty()) {
      text += "\n" + parts_table(manifest) + "\n" + tensors_table(manifest);
    }
    const std::string artifacts = artifacts_table(artifacts_of(checkpoint));
    if (!artifacts.empty()) text += "\n" + artifacts;
    Value::Map values = values_of(checkpoint);
    const auto certificate = values.extract(std::string(certificate_part));
    if (!values.empty()) text += "\nvalues\n" + facts_text(flatten(values), "  ");
    if (!certificate.empty()) text += certificate_text(certificate.mapped());
    return text;
  }

  std::string at_;
  bool source_diff_ = false;
};

}  // namespace

std::unique_ptr<Command> make_show() { return std::make_unique<Show>(); }

}  // namespace ckp::tool

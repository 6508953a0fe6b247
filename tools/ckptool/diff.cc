// ckptool diff: what two checkpoints differ in.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>

#include "ckp/artifacts.h"
#include "ckp/certificate.h"
#include "ckp/compare.h"
#include "command.h"
#include "render.h"
#include "source.h"
#include "tensor_text.h"

namespace ckp::tool {
namespace {

using ChangeKind = TensorChange::Kind;

// One of the two, with its run when it is in a store.
struct DiffSide {
  Checkpoint checkpoint;
  std::optional<RunRecord> run;
};

// Largest first: something new that is no number counts as more than any change.
double weight_of(const TensorChange& change) {
  if (change.new_nonfinite.has_value()) return std::numeric_limits<double>::infinity();
  return change.relative().value_or(0);
}

void sort_changes(std::vector<TensorChange>& changes) {
  const auto rank = [](const TensorChange& change) {
    if (change.kind == ChangeKind::changed) return 0;
    return change.kind == ChangeKind::unchanged ? 2 : 1;
  };
  std::stable_sort(changes.begin(), changes.end(),
                   [&](const TensorChange& a, const TensorChange& b) {
                     if (rank(a) != rank(b)) return rank(a) < rank(b);
                     return weight_of(a) > weight_of(b);
                   });
}

Value::Map metric_values(const CheckpointRecord& checkpoint) {
  Value::Map values;
  for (const auto& [name, value] : checkpoint.metrics) values[name] = Value(value);
  return values;
}

Value::Map plain_values(const Checkpoint& checkpoint) {
  Value::Map values = checkpoint.values();
  values.erase(std::string(certificate_part));
  if (!artifacts_of(checkpoint).empty()) values.erase(std::string(artifacts_part));
  return values;
}

Value::Map artifact_values(const Checkpoint& checkpoint) {
  Value::Map values;
  for (const Artifact& each : artifacts_of(checkpoint)) {
    values[each.name] = fmt::format("{}, {}", human_size(each.size), each.digest.hex());
  }
  return values;
}

Json changes_json(const std::vector<ValueChange>& changes) {
  Json json = Json::array();
  for (const ValueChange& change : changes) {
    json.push_back({{"name", change.path},
                    {"a", change.a.has_value() ? to_json(*change.a) : Json(nullptr)},
                    {"b", change.b.has_value() ? to_json(*change.b) : Json(nullptr)}});
  }
  return json;
}

std::string changes_text(const std::string& heading, const std::vector<ValueChange>& changes) {
  if (changes.empty()) return "";
  const auto text = [](const std::optional<Value>& value) {
    return value.has_value() ? value_text(*value) : std::string("-");
  };
  Table table({{heading}, {"A"}, {"B"}});
  for (const ValueChange& change : changes) {
    table.add({printable(change.path), text(change.a), text(change.b)});
  }
  return table.text() + "\n";
}

std::vector<std::string> row_of(const TensorChange& change) {
  std::string what(to_string(change.kind));
  std::string note;
  if (change.kind == ChangeKind::other_type) {
    note = fmt::format("{} -> {}", type_text(*change.a), type_text(*change.b));
  } else if (change.kind == ChangeKind::only_in_a) {
    note = type_text(*change.a);
  } else if (change.kind == ChangeKind::only_in_b) {
    note = type_text(*change.b);
  } else if (change.new_nonfinite.has_value()) {
    note = nonfinite_text(*change.new_nonfinite);
  }
  if (change.kind != ChangeKind::changed) {
    return {printable(change.name), what, "", "", "", note};
  }
  return {printable(change.name),
          what,
          relative_text(change),
          change.max_change.has_value() ? number_text(*change.max_change) : "-",
          fmt::format("{} of {}", grouped(change.changed), grouped(change.elements)),
          note};
}

// "4 tensors: 2 changed, 1 unchanged, 1 only in B".
std::string summary_text(const std::vector<TensorChange>& changes) {
  std::vector<std::string> parts;
  for (const ChangeKind kind :
       {ChangeKind::changed, ChangeKind::unchanged, ChangeKind::other_type, ChangeKind::only_in_a,
        ChangeKind::only_in_b, ChangeKind::unreadable}) {
    const auto count = std::count_if(changes.begin(), changes.end(),
                                     [&](const auto& change) { return change.kind == kind; });
    if (count != 0) parts.push_back(fmt::format("{} {}", count, to_string(kind)));
  }
  const std::string all = counted(changes.size(), "tensor");
  return parts.empty() ? all : fmt::format("{}: {}", all, join(parts));
}

class Diff : public Command {
 public:
  Diff()
      : Command(
            "diff",
            "Show what two checkpoints differ in: parameters, metrics, values, artifacts, tensors",
            "ckptool diff ./store cnn-lr3@1 cnn-lr3@best\n"
            "ckptool diff ./store cnn-lr3@1 cnn-lr3@9 --only 'model/*.weight' --limit 10\n"
            "ckptool diff before.ckp after.ckp") {}

 private:
  void declare() override {
    store_positional();
    positional("A", "The first: an address as in show, or a .ckp file");
    positional("B", "The second");
    option("--only", "PATTERN", only_,
           "Only these tensors: a name, what begins with it (model), or with * and ?");
    option("--limit", "N", limit_text_,
           "List N tensors at most, those with the largest relative change");
    flag("--exact", exact_,
         "Read also the equal chunks of tensors that differ in others: without them their relative "
         "change is an upper bound");
  }

  ExitCode run(Context& context) override {
    const std::size_t limit = parse_limit();
    FileSystem& fs = *context.file_system;
    const std::vector<std::string> given = arguments();
    const bool files = given.size() == 2 && store_option().empty() && means_file(given[0], fs) &&
                       means_file(given[1], fs);
    if (files) {
      const DiffSide a{open_checkpoint_file(given[0], context), std::nullopt};
      return show(context, a, {open_checkpoint_file(given[1], context), std::nullopt}, limit);
    }
    const StoreArgument found = store_and_rest(context, 2, 2, "A or B");
    const OpenedStore store(context, found.path);
    const DiffSide a = open_side(context, store, found.rest[0]);
    return show(context, a, open_side(context, store, found.rest[1]), limit);
  }

  std::size_t parse_limit() const {
    std::size_t limit = std::numeric_limits<std::size_t>::max();
    if (limit_text_.empty()) return limit;
    const char* const end = limit_text_.data() + limit_text_.size();
    const auto parsed = std::from_chars(limit_text_.data(), end, limit);
    if (parsed.ec == std::errc{} && parsed.ptr == end) return limit;
    throw UsageError(fmt::format("--limit {}: expected a number", limit_text_));
  }

  static DiffSide open_side(Context& context, const Store& store, const std::string& text) {
    if (means_file(text, *context.file_system)) {
      return {open_checkpoint_file(text, context), std::nullopt};
    }
    const Checkpoint checkpoint = open_address(store, text, Read::description);
    return {checkpoint, store.run(checkpoint.record().run.hex())};
  }

  ExitCode show(Context& context, const DiffSide& a, const DiffSide& b, std::size_t limit) {
    CompareOptions options;
    options.only = only_;
    options.norms = exact_ ? Norms::changed_tensors : Norms::changed_chunks;
    std::vector<TensorChange> tensors = compare(a.checkpoint, b.checkpoint, options);
    sort_changes(tensors);
    std::set<std::string> damage;
    for (const TensorChange& each : tensors) {
      if (each.kind == ChangeKind::unreadable) damage.insert(each.damage);
    }
    std::vector<ValueChange> parameters;
    if (a.run.has_value() && b.run.has_value()) {
      parameters = compare(a.run->parameters_in(a.checkpoint.record().attempt),
                           b.run->parameters_in(b.checkpoint.record().attempt));
    }
    const auto metrics =
        compare(metric_values(a.checkpoint.record()), metric_values(b.checkpoint.record()));
    const auto values = compare(plain_values(a.checkpoint), plain_values(b.checkpoint));
    const auto artifacts = compare(artifact_values(a.checkpoint), artifact_values(b.checkpoint));

    Json json = {{"a", side_json(a)},
                 {"b", side_json(b)},
                 {"parameters", changes_json(parameters)},
                 {"metrics", changes_json(metrics)},
                 {"values", changes_json(values)},
                 {"artifacts", changes_json(artifacts)}};
    json["tensors"] = Json::array();
    for (std::size_t i = 0; i < std::min(limit, tensors.size()); ++i) {
      json["tensors"].push_back(to_json(tensors[i]));
    }
    json["summary"] = summary_text(tensors);
    json["damage"] = damage;
    print(context, json,
          side_text("A", a) + side_text("B", b) + "\n" + changes_text("PARAMETER", parameters) +
              changes_text("METRIC", metrics) + changes_text("VALUE", values) +
              changes_text("ARTIFACT", artifacts) + tensors_text(tensors, limit) +
              summary_text(tensors) + "\n");
    context.output.flush();
    for (const std::string& each : damage) complain(each);
    return damage.empty() ? ExitCode::ok : ExitCode::damage;
  }

  static Json side_json(const DiffSide& side) {
    Json json = to_json(side.checkpoint.record());
    json["file"] = side.checkpoint.name();
    return json;
  }

  static std::string side_text(std::string_view name, const DiffSide& side) {
    const CheckpointRecord& record = side.checkpoint.record();
    const std::string what =
        side.run.has_value() ? printable(address_text(record)) : printable(side.checkpoint.name());
    return fmt::format("{}  {}, epoch {}, step {}\n", name, what, record.epoch, record.step);
  }

  static std::string tensors_text(const std::vector<TensorChange>& tensors, std::size_t limit) {
    Table table({{"TENSOR"},
                 {"CHANGE"},
                 {"RELATIVE", Table::Align::right},
                 {"LARGEST", Table::Align::right},
                 {"ELEMENTS", Table::Align::right},
                 {"NOTE"}});
    std::size_t differing = 0;
    for (const TensorChange& change : tensors) {
      if (change.kind == ChangeKind::unchanged) continue;
      if (differing++ < limit) table.add(row_of(change));
    }
    std::string text = table.empty() ? "" : table.text();
    if (differing > limit) text += fmt::format("and {} more\n", differing - limit);
    return text.empty() ? "" : text + "\n";
  }

  std::string only_, limit_text_;
  bool exact_ = false;
};

}  // namespace

std::unique_ptr<Command> make_diff() { return std::make_unique<Diff>(); }

}  // namespace ckp::tool

#include "store/marks.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "ckp/format/journal_record.h"
#include "ckp/shell_word.h"
#include "io/durable_file.h"
#include "runs/field_reader.h"
#include "runs/journal.h"
#include "runs/record_codec.h"
#include "store/identity.h"

namespace ckp {
namespace {

using format::JournalHeader;

Value to_value(const AliasChange& change) {
  Value::Map map{{"kind", to_string(change.kind)},
                 {"alias", change.alias},
                 {"time_ns", change.time_ns},
                 {"who", change.who},
                 {"note", change.note},
                 {"metadata", change.metadata}};
  if (change.from) map.emplace("from", uuid_bytes(*change.from));
  if (change.to) map.emplace("to", uuid_bytes(*change.to));
  return map;
}

AliasChange change_from(const Value& value) {
  const FieldReader fields(value, "alias change");
  AliasChange change;
  std::string kind;
  fields.read("kind", kind);
  fields.read("alias", change.alias);
  fields.read("from", change.from);
  fields.read("to", change.to);
  fields.read("time_ns", change.time_ns);
  fields.read("who", change.who);
  fields.read("note", change.note);
  fields.read("metadata", change.metadata);
  for (const auto known :
       {AliasChange::Kind::promoted, AliasChange::Kind::rolled_back, AliasChange::Kind::removed}) {
    if (kind != to_string(known)) continue;
    change.kind = known;
    return change;
  }
  fields.refuse("kind", "promoted, rolled_back or removed", kind);
}

using FactsOf = std::map<Uuid, std::vector<LaterFact>>;

void add_facts(const FactsOf& facts, const char* about, Value::List& to) {
  for (const auto& [id, own] : facts) {
    for (const LaterFact& fact : own) {
      Value::Map map = later_fact_payload(fact);
      map.emplace(about, uuid_bytes(id));
      to.emplace_back(std::move(map));
    }
  }
}

void read_fact(const Value& value, LaterFacts& facts) {
  const FieldReader fields(value, "later fact");
  std::optional<Uuid> checkpoint, run;
  fields.read("checkpoint", checkpoint);
  fields.read("run", run);
  if (checkpoint.has_value() == run.has_value())
    fields.refuse("run", "it or a checkpoint", "both or none");
  auto& own = checkpoint ? facts.checkpoints[*checkpoint] : facts.runs[*run];
  own.push_back(later_fact_from(value));
}

Value to_value(const PolicyChange& change) {
  Value::Map map{{"time_ns", change.time_ns}, {"who", change.who}};
  if (change.run) map.emplace("run", uuid_bytes(*change.run));
  if (change.rules) map.emplace("rules", *change.rules);
  return map;
}

// What the rules are is read when they are used: those of a later version must not hide the rest.
PolicyChange policy_change_from(const Value& value) {
  const FieldReader fields(value, "policy");
  PolicyChange change;
  fields.read("run", change.run);
  if (const Value::Map* rules = fields.map("rules")) change.rules = *rules;
  fields.read("time_ns", change.time_ns);
  fields.read("who", change.who);
  return change;
}

Marks marks_from(const Value& payload) {
  const FieldReader fields(payload, "marks record");
  Marks marks;
  if (const Value::List* changes = fields.list("aliases")) {
    for (const Value& change : *changes) marks.aliases.push_back(change_from(change));
  }
  if (const Value::List* facts = fields.list("facts")) {
    for (const Value& fact : *facts) read_fact(fact, marks.facts);
  }
  if (const Value::List* policies = fields.list("policies")) {
    for (const Value& policy : *policies) marks.policies.push_back(policy_change_from(policy));
  }
  return marks;
}

// One copy: a journal with one record. The file is two of them.
std::vector<std::byte> encode_copy(const Uuid& store, const Marks& marks) {
  Value::List changes;
  for (const AliasChange& change : marks.aliases) changes.push_back(to_value(change));
  Value::Map payload{{"aliases", std::move(changes)}};
  if (marks.facts.count() > 0) {
    Value::List facts;
    add_facts(marks.facts.checkpoints, "checkpoint", facts);
    add_facts(marks.facts.runs, "run", facts);
    payload.emplace("facts", std::move(facts));
  }
  if (!marks.policies.empty()) {
    Value::List policies;
    for (const PolicyChange& change : marks.policies) policies.push_back(to_value(change));
    payload.emplace("policies", std::move(policies));
  }
  JournalHeader header;
  header.run = store;
  header.journal = random_uuid();
  std::vector<std::byte> bytes = format::encode_journal_header(header);
  try {
    const auto record = format::encode_journal_record(
        {.kind = format::JournalKind::marks, .payload = std::move(payload)}, header, bytes.size());
    bytes.insert(bytes.end(), record.begin(), record.end());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::invalid_argument) throw;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("the file marks cannot take more: aliases, tags, metrics, notes and "
                            "policies of a store are 16 MiB at the most ({})",
                            error.what()));
  }
  return bytes;
}

// The copy that begins where `bytes` do, whatever stands behind it.
Marks decode_copy(std::span<const std::byte> bytes, const Uuid& store) {
  const format::JournalContents contents = format::decode_journal(bytes);
  if (contents.header.run != store) {
    throw Error(ErrorCode::corrupt, fmt::format("the file is of another store ({}), not of {}",
                                                contents.header.run.hex(), store.hex()));
  }
  if (contents.records.empty() || contents.records[0].offset != JournalHeader::size ||
      contents.records[0].record.kind != format::JournalKind::marks) {
    throw Error(ErrorCode::corrupt, "there is no whole record in it");
  }
  return marks_from(contents.records[0].record.payload);
}

// Nothing, and the reason in `why`, when it is damaged.
std::optional<Marks> try_copy(std::span<const std::byte> bytes, const Uuid& store,
                              std::string& why) {
  try {
    return decode_copy(bytes, store);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    why = error.what();
    return std::nullopt;
  }
}

// What STORE says once these marks are there.
std::uint64_t features_of(const Marks& marks) {
  std::uint64_t features = format::feature::marks;
  if (marks.facts.count() > 0) features |= format::feature::later_facts;
  if (!marks.policies.empty()) features |= format::feature::policies;
  return features;
}

// Whether STORE says so. A damaged STORE is told elsewhere.
bool has_feature(FileSystem& fs, const StoreLayout& layout, std::uint64_t feature) {
  try {
    return (identity_now(fs, layout).features.read_only & feature) != 0;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::corrupt || error.code() == ErrorCode::not_found) return false;
    throw;
  }
}

std::string damaged_copy(std::string_view which, const std::string& why) {
  return fmt::format("the {} of its two copies is damaged ({})", which, why);
}

MarksFile judge(std::span<const std::byte> bytes, const Uuid& store) {
  MarksFile file;
  const auto second_bytes = bytes.subspan(bytes.size() / 2);
  std::string first_why, second_why;
  auto first = try_copy(bytes, store, first_why);
  auto second = try_copy(second_bytes, store, second_why);
  if (!first && !second) {
    file.problem = fmt::format("neither of its two copies can be read ({})", first_why);
  } else if (!first) {
    file.problem = damaged_copy("first", first_why);
  } else if (!second) {
    file.problem = damaged_copy("second", second_why);
  } else if (!std::ranges::equal(bytes.first(bytes.size() / 2), second_bytes)) {
    file.problem = "its two copies are not the same";
  }
  const auto changes = [](const Marks& marks) {
    return marks.aliases.size() + marks.facts.count() + marks.policies.size();
  };
  const bool take_first = first && (!second || changes(*first) >= changes(*second));
  file.marks = take_first ? std::move(first) : std::move(second);
  return file;
}

}  // namespace

MarksFile look_at_marks(FileSystem& fs, const StoreLayout& layout, const Uuid& store) {
  // Asked first: STORE says so only after the file is there.
  const bool expected = has_feature(fs, layout, format::feature::marks);
  MarksFile file;
  const auto seen = fs.status(layout.marks());
  if (!seen && is_link_to_nowhere(fs, layout.marks())) {
    file.problem = describe_link_to_nowhere(layout.marks());
    file.away = true;
    return file;
  }
  if (!seen && !expected) {
    file.marks.emplace();
    return file;
  }
  if (!seen) {
    file.problem = fmt::format("{}: the file is missing; STORE says that there was one",
                               layout.marks().string());
    return file;
  }
  try {
    file = judge(read_journal_file(fs, layout.marks()), store);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) {
      throw Error(error.code(), fmt::format("{}: {}", layout.marks().string(), error.what()));
    }
    file.problem = error.what();
  }
  if (!file.problem.empty() && !file.problem.starts_with(layout.marks().string())) {
    file.problem = fmt::format("{}: {}", layout.marks().string(), file.problem);
  }
  file.seen = seen;
  return file;
}

std::optional<LaterFacts> known_facts(FileSystem& fs, const StoreLayout& layout,
                                      const Uuid& store) {
  try {
    MarksFile file = look_at_marks(fs, layout, store);
    if (file.marks) return std::move(file.marks->facts);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_resources) throw;  // it may be sound
  }
  if (has_feature(fs, layout, format::feature::later_facts)) return std::nullopt;
  return LaterFacts{};
}

Marks read_marks(const StoreCore& core) {
  MarksFile file = look_at_marks(core.fs(), core.layout(), core.uuid());
  if (file.marks) return *std::move(file.marks);
  if (file.away) throw Error(ErrorCode::io, file.problem);
  throw Error(ErrorCode::corrupt,
              fmt::format("{}; what the aliases point at, and what was said of checkpoints since "
                          "they were saved, or shall be kept, is unknown; put the file back from a "
                          "backup, or go on "
                          "without: ckptool repair {}",
                          file.problem, shell_word(core.layout().root.string())));
}

void write_marks(FileSystem& fs, const StoreLayout& layout, const Uuid& store, const Marks& marks) {
  const format::StoreIdentity identity = identity_now(fs, layout);
  const std::vector<std::byte> copy = encode_copy(store, marks);
  write_durably(fs, layout.marks(), true, [&](FileAppender& file) {  // M2
    file.append(copy);
    file.append(copy);
  });
  format::Features features = identity.features;
  features.read_only |= features_of(marks);
  write_features(fs, layout, identity, features);  // M3
}

void change_marks(StoreCore& core, const std::function<void(Marks&)>& change) {
  core.check_writable();
  const StoreLock lock = core.lock();  // M1
  Marks marks = read_marks(core);
  change(marks);
  write_marks(core.fs(), core.layout(), core.uuid(), marks);
}

std::optional<Uuid> owner_of_marks(FileSystem& fs, const StoreLayout& layout) {
  if (!fs.status(layout.marks())) return std::nullopt;
  try {
    return format::decode_journal_header(read_journal_file(fs, layout.marks())).run;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::corrupt) return std::nullopt;
    throw;
  }
}

std::optional<ScannedPack> find_live(const StoreCore& core, const Uuid& checkpoint) {
  for (const std::string& name : list_run_directories(core.fs(), core.layout())) {
    const RunDirectory run = list_run(core.fs(), core.layout(), name);
    for (const ScannedPack& pack : run.packs) {
      if (pack.name.uuid == checkpoint && pack.name.state == PackState::live) return pack;
    }
  }
  return std::nullopt;
}

void check_not_aliased(const StoreCore& core, const std::set<Uuid>& checkpoints) {
  if (checkpoints.empty()) return;
  for (const auto& [name, change] : current_aliases(read_marks(core).aliases)) {
    if (!checkpoints.contains(*change.to)) continue;
    const std::string root = core.layout().root.string();
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{0}: alias {1} points at checkpoint {2}; nothing was deleted; first "
                            "give the alias to another (ckptool promote {3} ADDRESS {1}) or take "
                            "it away (ckptool promote {3} --remove {1})",
                            root, name, change.to->short_hex(), shell_word(root)));
  }
}

}  // namespace ckp

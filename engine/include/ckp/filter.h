// The query language: which runs or checkpoints, in which order, with which columns. Pure: records
// in, an answer out. Searching a store with it: ckp/search.h.
//
//   params.lr < 0.01 and tags.team = 'ranking' and metrics.val/auc.max > 0.9
//   status in ('completed', 'failed') and started > now-7d and not tags.kind like 'debug%'
//
// An expression is made of comparisons, `and`, `or`, `not` and parentheses; words in any case.
//
//   KEY = != < <= > >= VALUE      `==` is `=`
//   KEY [not] in (VALUE, ...)
//   KEY [not] like 'PATTERN'      % any text, _ one character, \ takes the next one as it is;
//                                 `ilike` does not tell a from A (ASCII letters)
//   KEY is [not] null             whether the record has it
//
// A KEY is `params.NAME`, `tags.NAME`, `metrics.NAME`, `data.NAME`, `env.NAME` or
// `attributes.NAME` (or NAME alone); the spellings `parameters`, `metric`, `environment`, `attr`,
// `run` and so on are taken, too. A NAME of letters, digits and _ - . / @ stands as it is, any
// other between backticks or double quotes: metrics."val loss".min. Maps among the parameters,
// tags, data and environment are entered with `.` or `/`.
//
// A question about runs takes the newest checkpoint of the current line where one about checkpoints
// takes the checkpoint itself:
//   metrics.NAME       the checkpoint's; of a run, that of the newest checkpoint that has it
//   metrics.NAME.last  that of the run's newest checkpoint that has it
//   metrics.NAME.min   what RUN@best:NAME:min has; .max likewise
//   tags.NAME          of a checkpoint its own, else its run's; of a run the run's
//   params.NAME        of the newest attempt of a run; of a checkpoint those of the attempt that
//                      saved it; likewise
//   data.NAME          what it trains on: name, version, digest, splits.NAME, classes.NAME,
//                      normalization.NAME (ckp/data_set.h), and the trainer's own
//   env.NAME           where it runs: git_commit, cpu, kernel, slurm_job (ckp/environment.h), and
//                      the trainer's own
//   attributes.NAME    see attribute_names()
//
// VALUES are numbers (also nan, inf, -inf), 'text' or "text" (a quote in it is doubled), true,
// false. Times are compared by < <= > >= with '2026-10-03', '2026-10-03T14:00', '...14:00:30.5Z'
// (local time without Z or +02:00), now, now-7d (units s m h d w).
//
// - A comparison with something the record does not have is neither true nor false, as in SQL: it
//   never matches, also not under `not`; `is null` finds it.
// - NaN equals NaN and nothing else, and is neither below nor above anything: `metrics.loss = nan`
//   finds it, `metrics.loss != 3` matches it, `metrics.loss < 3` does not. .min and .max pass over
//   NaN and infinities; .last does not.
// - Parameters and tags of different kinds are compared by what they say: 32 equals '32', 0.001
//   equals '1e-3', true equals 'True'. Numbers against text that is none, lists and maps are
//   unequal to all and neither below nor above.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/records.h"
#include "ckp/value.h"

namespace ckp {

class HistorySource;
struct CheckpointTotals;

// A run with its checkpoints. One thread at a time: answers are kept for the next question.
class RunHistory {
 public:
  RunHistory(RunRecord run, std::vector<CheckpointRecord> checkpoints);
  // Of the engine: asks `source`, and reads the checkpoints when it does not know.
  RunHistory(std::shared_ptr<HistorySource> source, std::shared_ptr<const RunRecord> run);
  RunHistory(RunHistory&&) = default;
  RunHistory& operator=(RunHistory&&) = default;
  RunHistory(const RunHistory&) = delete;
  RunHistory& operator=(const RunHistory&) = delete;

  const RunRecord& run() const { return *run_; }
  // All of them, in commit order.
  std::span<const CheckpointRecord> checkpoints() const;
  // The current line, in commit order.
  std::span<const CheckpointRecord* const> line() const;
  bool on_line(const CheckpointRecord& checkpoint) const;
  // The last of the line, and the best by the declared metric, or null.
  const CheckpointRecord* latest() const;
  const CheckpointRecord* best() const;
  // Of the engine: counts and sums over all checkpoints.
  const CheckpointTotals& totals() const;

  // From each attempt's start to its last sign of life (its end, its last checkpoint, or what its
  // journal tells), added up; and each times the devices that it used.
  double hours() const;
  double device_hours() const;

  // What metrics.NAME.min, .max and .last are.
  enum class Pick { min, max, last };
  std::optional<double> metric(const std::string& name, Pick pick) const;

 private:
  struct Picked {
    std::string name;
    Pick pick;
    std::optional<double> value;
  };

  double hours_of(std::size_t attempt) const;
  void take(std::vector<CheckpointRecord> checkpoints) const;
  void load() const;
  const CheckpointRecord* keep(std::optional<CheckpointRecord> found) const;
  const CheckpointRecord* last_with(const std::string& metric) const;
  const CheckpointRecord* best_by(const std::string& metric, Better better) const;

  std::shared_ptr<const RunRecord> run_;
  mutable std::shared_ptr<HistorySource> source_;  // null: the checkpoints are here
  mutable std::vector<CheckpointRecord> checkpoints_;
  mutable std::vector<const CheckpointRecord*> line_;
  mutable std::vector<std::shared_ptr<const CheckpointRecord>> known_;  // that the source named
  mutable std::optional<const CheckpointRecord*> latest_, best_;
  mutable std::shared_ptr<const CheckpointTotals> totals_;
  mutable std::vector<Picked> picked_;
};

// What a question is about.
enum class Scope { runs, checkpoints };

struct Attribute;

// Something that can be compared, ordered by and shown in a column.
struct Key {
  enum class Kind { parameter, tag, metric, data, environment, attribute };
  std::string text;  // as it was written
  Kind kind = Kind::attribute;
  std::string name;
  std::optional<RunHistory::Pick> pick = {};  // of a metric
  const Attribute* attribute = nullptr;

  // Error(invalid_argument) that points at the column; of an unknown attribute it names the
  // closest.
  static Key parse(std::string_view text);
  // "KEY,KEY,...".
  static std::vector<Key> parse_list(std::string_view text);

  // Null when the record has no such thing. Times are nanoseconds since 1970.
  Value value(const RunHistory& run) const;
  Value value(const RunHistory& run, const CheckpointRecord& checkpoint) const;
  bool is_time() const;
};

// The names that `attributes.` knows, with one line about each.
struct AttributeName {
  std::string_view name, meaning;
};
std::vector<AttributeName> attribute_names();

// KEY[:min|max|asc|desc], also with a blank for the colon; asc when left out. Numbers come before
// text before booleans; NaN, and behind it what is missing, come last in either direction. `:min`
// and `:max` are asc and desc, and rank runs by metrics.NAME.min and metrics.NAME.max.
struct Order {
  Key key;
  bool descending = false;
  bool by_extreme = false;  // written as :min or :max

  static Order parse(std::string_view text);
};

struct Expression;

// A parsed expression. Cheap to copy.
class Filter {
 public:
  Filter() = default;  // matches everything
  // Error(invalid_argument): what was expected, the expression, and a caret under the place.
  // `now_ns` is what `now` means.
  static Filter parse(std::string_view text, std::int64_t now_ns);

  bool matches(const RunHistory& run) const;
  bool matches(const RunHistory& run, const CheckpointRecord& checkpoint) const;
  // True when nothing of this run can match, whatever its checkpoints are: they need not be read.
  bool excludes(const RunRecord& run, Scope scope) const;
  // What it compares, in the order of the text.
  std::vector<Key> keys() const;
  const Expression* expression() const { return root_.get(); }  // null: matches everything

 private:
  explicit Filter(std::shared_ptr<const Expression> root) : root_(std::move(root)) {}
  std::shared_ptr<const Expression> root_;
};

}  // namespace ckp

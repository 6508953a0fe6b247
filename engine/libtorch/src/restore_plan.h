// One restore: what the parts asked for, what did not fit, and the carrying out when all fits.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "ckp/libtorch/parameter_names.h"
#include "ckp/libtorch/restore_report.h"
#include "ckp/load.h"

namespace ckp::libtorch {

class RestorePlan {
 public:
  // Refers to all three.
  RestorePlan(const Checkpoint& checkpoint, const ParameterNames& parameters,
              const RestoreOptions& options)
      : checkpoint_(checkpoint), parameters_(parameters), options_(options) {}

  const Checkpoint& checkpoint() const { return checkpoint_; }
  const ParameterNames& parameters() const { return parameters_; }
  const RestoreOptions& options() const { return options_; }

  // Whether the checkpoint has anything of a part.
  bool has_part(const std::string& part) const;
  // The tensors below a part.
  std::span<const format::TensorEntry> tensors_of(const std::string& part) const;

  // Asks for a tensor of the checkpoint, by its full name.
  void fill(const std::string& part, const std::string& name, const at::Tensor& target);
  void require(const std::string& part, const std::string& name, const at::Tensor& target);
  void note_missing(const std::string& name) { missing_.push_back(name); }
  void ignore(const std::string& name) { left_out_.insert(name); }
  void problem(std::string text) { problems_.push_back(std::move(text)); }
  void on_restore(std::function<void()> action) { actions_.push_back(std::move(action)); }

  void converted(std::string what) { converted_.push_back(std::move(what)); }

  // An option that both sides have; see PartReader.
  void compare(std::string name, Value program, Value checkpoint);
  bool keeps_constructed(std::string_view name) const;
  bool keeps_learning_rates() const;
  // Something about the surroundings, where the program's always holds.
  void compare_fact(const std::string& name, const Value& program, const Value& checkpoint);

  // A part of the state that the checkpoint does not have.
  void missing_part(const std::string& part);
  // Ends the first phase: throws Error(mismatch) with every problem. `parts`: those of the state.
  void check_all(std::span<const std::string> parts);
  // What the second phase does.
  RestoreReport report(std::span<const std::string> parts) const;
  // The second phase.
  RestoreReport carry_out(std::span<const std::string> parts);

 private:
  // Where a target's elements are: equal for tied tensors.
  using Place =
      std::tuple<const void*, DType, std::vector<std::int64_t>, std::vector<std::int64_t>>;
  // Cannot be filled in place: on another device, or with other lazy bits.
  struct Staged {
    std::string name;
    at::Tensor target;
    std::uint16_t flags = 0;
  };

  void load_through_host();
  void schedule(const format::TensorEntry& entry, const at::Tensor& target);
  void check_tied(const std::string& name, const std::string& first);
  std::string absent(const std::string& part, const std::string& name) const;
  void check_leftovers(std::span<const std::string> parts);
  void check_exact(std::span<const std::string> parts);

  const Checkpoint& checkpoint_;
  const ParameterNames& parameters_;
  const RestoreOptions& options_;
  std::set<std::string, std::less<>> asked_;     // full names that are there and wanted
  std::set<std::string, std::less<>> left_out_;  // there, not wanted, and that is fine
  std::vector<std::string> missing_;
  std::vector<std::string> converted_;
  std::vector<Difference> differences_;
  std::vector<std::pair<std::string, std::string>> absent_;  // part and name of what must not miss
  std::vector<std::string> problems_;
  std::map<Place, std::string> places_;
  std::vector<TensorTarget> targets_;
  std::vector<at::Tensor> held_;  // keeps what targets_ point into alive
  std::vector<Staged> staged_;
  std::vector<std::function<void()>> actions_;
};

}  // namespace ckp::libtorch

#include "optimizer_part.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/optim/optimizer.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <sstream>
#include <utility>

#include "ckp/error.h"
#include "ckp/libtorch/parameter_names.h"
#include "ckp/libtorch/tensor.h"
#include "known_optimizers.h"

namespace ckp::libtorch {
namespace {

using torch::optim::Optimizer;
using Names = std::vector<std::string>;

// The optimizer's key of a parameter: a pointer, or in LibTorch 1 the text of one.
template <class Map>
typename Map::key_type key_in(const Map&, const at::Tensor& parameter) {
  if constexpr (std::is_same_v<typename Map::key_type, std::string>) {
    std::ostringstream text;
    text << parameter.unsafeGetTensorImpl();
    return text.str();
  } else {
    return parameter.unsafeGetTensorImpl();
  }
}

// The names of all parameters, by group.
std::vector<Names> names_of(const Optimizer& optimizer, const ParameterNames& parameters,
                            const std::string& part) {
  std::vector<std::vector<const ParameterName*>> found;
  std::set<std::string> models;
  for (const auto& group : optimizer.param_groups()) {
    found.emplace_back();
    for (const at::Tensor& parameter : group.params()) {
      const ParameterName* name = parameters.find(parameter);
      if (name == nullptr) {
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{}: parameter {} of group {} ({}) belongs to no model of the "
                                "training state; register its model with model(name, module)",
                                part, found.back().size(), found.size() - 1, describe(parameter)));
      }
      found.back().push_back(name);
      models.insert(name->model);
    }
  }
  std::vector<Names> groups;
  for (const auto& group : found) {
    groups.emplace_back();
    for (const ParameterName* name : group) {
      groups.back().push_back(models.size() > 1 ? name->model + "/" + name->parameter
                                                : name->parameter);
    }
  }
  return groups;
}

// The names of a stored group, as they stand in the checkpoint.
Names stored_names(const Value& group, const std::string& where) {
  const Value* list = group.find("params");
  if (list == nullptr) {
    throw Error(
        ErrorCode::mismatch,
        fmt::format("{}: the checkpoint has no \"params\" for it; nothing was changed", where));
  }
  Names names;
  for (const Value& name : list->as_list()) names.push_back(name.as_string());
  return names;
}

// "model/encoder.weight" or "encoder.weight" with the parameter's own name translated.
std::string translated(const std::string& name,
                       const std::function<std::string(std::string_view)>& translate) {
  const auto start = name.find('/') == std::string::npos ? 0 : name.find('/') + 1;
  return name.substr(0, start) + translate(std::string_view(name).substr(start));
}

std::string in_checkpoint(const std::string& here, PartReader& in) {
  return translated(here, [&](std::string_view name) { return in.stored_name(name); });
}

std::string in_program(const std::string& stored, PartReader& in) {
  return translated(stored, [&](std::string_view name) { return in.name_here(name); });
}

// Those that RestoreOptions selects.
Names selected(const Names& here, PartReader& in) {
  Names names;
  std::copy_if(here.begin(), here.end(), std::back_inserter(names),
               [&](const std::string& name) { return in.selected(name); });
  return names;
}

// A stored group's names as they are here, those left out told to the report.
Names selected_of_stored(const Value& group, const std::string& where, PartReader& in) {
  Names names;
  for (const std::string& stored : stored_names(group, where)) {
    const std::string here = in_program(stored, in);
    if (in.selected(here)) {
      names.push_back(here);
      continue;
    }
    for (const std::string& tensor : in.names()) {
      if (tensor.starts_with(stored + "/")) in.ignore(tensor);
    }
  }
  return names;
}

// A tensor without memory of its own that is as long as all parameters together.
at::Tensor as_long_as_all(const Optimizer& optimizer) {
  std::int64_t size = 0;
  at::Tensor last;
  for (const auto& group : optimizer.param_groups()) {
    for (const at::Tensor& parameter : group.params()) {
      size += parameter.numel();
      last = parameter;
    }
  }
  return at::empty({1}, last.options().requires_grad(false)).expand({size});
}

// Says what one group has and the other has not. Order counts only for a flat state: the others go
// by name.
bool same_members(const Names& here, const Names& stored, bool is_flat, const std::string& where,
                  PartReader& in) {
  const std::set<std::string> mine(here.begin(), here.end());
  const std::set<std::string> theirs(stored.begin(), stored.end());
  for (const std::string& name : mine) {
    if (!theirs.contains(name)) {
      in.mismatch(fmt::format("{}: has {}, which this group lacks in the checkpoint", where, name));
    }
  }
  for (const std::string& name : theirs) {
    if (!mine.contains(name)) {
      in.mismatch(fmt::format("{}: lacks {}, which this group has in the checkpoint", where, name));
    }
  }
  if (is_flat && mine == theirs && here != stored) {
    const auto place = std::mismatch(here.begin(), here.end(), stored.begin());
    in.mismatch(
        fmt::format("{}: the parameters must be in the same order, because one state covers "
                    "all of them; {} stands here where the checkpoint has {}",
                    where, *place.first, *place.second));
    return false;
  }
  return mine == theirs;
}

}  // namespace

OptimizerPart::OptimizerPart(torch::optim::Optimizer& optimizer,
                             std::shared_ptr<const OptimizerKind> own)
    : optimizer_(optimizer), own_(std::move(own)) {
  try {
    const OptimizerKind& known = options_kind("optimizer");
    for (const auto& group : optimizer.param_groups()) {
      constructed_.push_back(known.save_options(group.options()));
    }
  } catch (const Error&) {
    // No kind that is known: saving and restoring say so.
  }
}

const OptimizerKind& OptimizerPart::options_kind(const std::string& part) const {
  return own_ != nullptr ? *own_ : kind_of(optimizer_, part);
}

void OptimizerPart::save(PartWriter& out) const {
  const OptimizerKind& kind = options_kind(out.part());
  const Optimizer& optimizer = optimizer_;
  const auto& states = optimizer.state();
  const std::vector<Names> names = names_of(optimizer, out.parameters(), out.part());
  Value::List groups;
  Value::Map state;
  out.only_steps_change_what_follows(true);
  for (std::size_t g = 0; g < names.size(); ++g) {
    const auto& group = optimizer.param_groups()[g];
    Value entry;
    entry["params"] = Value::List(names[g].begin(), names[g].end());
    entry["options"] = kind.save_options(group.options());
    entry["constructed"] = g < constructed_.size() ? Value(constructed_[g]) : entry["options"];
    groups.push_back(std::move(entry));
    for (std::size_t i = 0; i < names[g].size(); ++i) {
      auto place = states.find(key_in(states, group.params()[i]));
      if (place == states.end()) continue;  // it never had a gradient
      state[names[g][i]] = kind.save_state(*place->second, names[g][i], out);
    }
  }
  out.value("type", kind.name());
  out.value("groups", std::move(groups));
  out.value("state", std::move(state));
}

void OptimizerPart::check(PartReader& in) {
  const OptimizerKind& kind = options_kind(in.part());
  const std::string& type = in.value("type").as_string();
  const std::vector<Names> names = names_of(optimizer_, in.parameters(), in.part());
  const Value::List& groups = in.value("groups").as_list();
  if (type != kind.name()) {
    in.mismatch(fmt::format("{}: {} here, {} in the checkpoint", in.part(), kind.name(), type));
  } else if (in.strict() && groups.size() != names.size()) {
    in.mismatch(fmt::format("{}: parameter groups: {} here, {} in the checkpoint", in.part(),
                            names.size(), groups.size()));
  } else {
    for (std::size_t g = 0; g < names.size(); ++g) {
      const Value* stored = in.strict() ? &groups[g] : matching_group(in, names[g], groups);
      if (stored != nullptr) check_group(in, kind, g, names[g], *stored);
    }
    return;
  }
  // Already told as a whole: do not name every tensor again.
  for (const std::string& name : in.names()) in.ignore(name);
}

// The stored group with most of these parameters; nullptr when none has any.
const Value* OptimizerPart::matching_group(PartReader& in, const Names& names,
                                           const Value::List& groups) {
  const std::set<std::string> mine(names.begin(), names.end());
  const Value* best = nullptr;
  std::ptrdiff_t most = 0;
  for (const Value& group : groups) {
    const Names stored = stored_names(group, in.part());
    const auto common = std::count_if(stored.begin(), stored.end(), [&](const std::string& name) {
      return mine.contains(in_program(name, in));
    });
    if (common > most) {
      most = common;
      best = &group;
    }
  }
  return best;
}

void OptimizerPart::check_group(PartReader& in, const OptimizerKind& kind, std::size_t number,
                                const Names& names, const Value& stored) {
  const std::string where = fmt::format("{}: group {}", in.part(), number);
  const Names theirs = selected_of_stored(stored, where, in);
  const bool all_must_fit = in.strict() || kind.is_flat();
  if (all_must_fit && !same_members(selected(names, in), theirs, kind.is_flat(), where, in)) return;
  auto& group = optimizer_.param_groups()[number];
  Value::Map constructed;
  in.on_restore(
      kind.check_options(chosen_options(in, number, stored, constructed), where, group.options()));
  in.on_restore([this, number, constructed] {
    if (number < constructed_.size()) constructed_[number] = constructed;
  });
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (in.selected(names[i])) check_state(in, kind, names[i], group.params()[i]);
  }
}

Value OptimizerPart::chosen_options(PartReader& in, std::size_t number, const Value& stored,
                                    Value::Map& constructed) const {
  const Value* found = stored.find("options");
  Value options = found == nullptr ? Value() : *found;
  if (number >= constructed_.size()) return options;
  constructed = constructed_[number];
  const Value* theirs = stored.find("constructed");
  for (auto& [name, mine] : constructed) {
    const Value* now = options.find(name);
    if (now == nullptr) continue;
    const std::string path = fmt::format("{}/{}", number, name);
    if (in.keeps_constructed(path)) {
      in.compare(path, mine, *now);
      options[name] = mine;
      continue;
    }
    // A scheduler has moved the option meanwhile; what tells is how the two programs began.
    const Value* before = theirs == nullptr ? nullptr : theirs->find(name);
    if (before == nullptr) before = now;
    in.compare(path, mine, *before);
    mine = *before;
  }
  return options;
}

// Whether any stored group has this parameter, with state or without.
bool OptimizerPart::is_stored(PartReader& in, const std::string& stored) {
  for (const Value& group : in.value("groups").as_list()) {
    const Names names = stored_names(group, in.part());
    if (std::find(names.begin(), names.end(), stored) != names.end()) return true;
  }
  return false;
}

void OptimizerPart::check_state(PartReader& in, const OptimizerKind& kind, const std::string& name,
                                const at::Tensor& parameter) {
  const std::string stored_as = in_checkpoint(name, in);
  if (!is_stored(in, stored_as)) {  // a parameter that the program has got since
    in.note_missing(name);
    return;
  }
  // Copyable, because std::function asks for it.
  auto fresh = std::make_shared<std::unique_ptr<torch::optim::OptimizerParamState>>();
  const Value::Map& states = in.value("state").as_map();
  auto stored = states.find(stored_as);
  if (stored != states.end()) {
    const at::Tensor like = kind.is_flat() ? as_long_as_all(optimizer_) : parameter;
    *fresh = kind.check_state(stored->second, stored_as, like, in);
  }
  in.on_restore([this, parameter, fresh] {
    auto& state = optimizer_.state();
    auto key = key_in(state, parameter);
    if (*fresh == nullptr) {
      state.erase(key);
    } else {
      state[key] = std::move(*fresh);
    }
  });
}

}  // namespace ckp::libtorch

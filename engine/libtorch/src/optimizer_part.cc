#include "optimizer_part.h"

#include <fmt/format.h>
#include <torch/optim/optimizer.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "ckp/error.h"
#include "ckp/libtorch/parameter_names.h"
#include "ckp/libtorch/tensor.h"
#include "optimizer_kind.h"

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

// Says what one group has and the other has not. Order does not count: state goes by name.
bool same_members(const Names& here, const Names& stored, const std::string& where,
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
  return mine == theirs;
}

}  // namespace

OptimizerPart::OptimizerPart(torch::optim::Optimizer& optimizer) : optimizer_(optimizer) {
  try {
    const OptimizerKind& kind = kind_of(optimizer, "optimizer");
    for (const auto& group : optimizer.param_groups()) {
      constructed_.push_back(kind.save_options(group.options()));
    }
  } catch (const Error&) {
    // No kind that is known: saving and restoring say so.
  }
}

void OptimizerPart::save(PartWriter& out) const {
  const OptimizerKind& kind = kind_of(optimizer_, out.part());
  const Optimizer& optimizer = optimizer_;
  const auto& states = optimizer.state();
  const std::vector<Names> names = names_of(optimizer, out.parameters(), out.part());
  Value::List groups;
  Value::Map state;
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
  const OptimizerKind& kind = kind_of(optimizer_, in.part());
  const std::string& type = in.value("type").as_string();
  const std::vector<Names> names = names_of(optimizer_, in.parameters(), in.part());
  const Value::List& groups = in.value("groups").as_list();
  if (type != kind.name()) {
    in.mismatch(fmt::format("{}: {} here, {} in the checkpoint", in.part(), kind.name(), type));
  } else if (groups.size() != names.size()) {
    in.mismatch(fmt::format("{}: parameter groups: {} here, {} in the checkpoint", in.part(),
                            names.size(), groups.size()));
  } else {
    for (std::size_t g = 0; g < names.size(); ++g) check_group(in, kind, g, names[g], groups[g]);
    return;
  }
  // Already told as a whole: do not name every tensor again.
  for (const std::string& name : in.names()) in.ignore(name);
}

void OptimizerPart::check_group(PartReader& in, const OptimizerKind& kind, std::size_t number,
                                const Names& names, const Value& stored) {
  const std::string where = fmt::format("{}: group {}", in.part(), number);
  if (!same_members(names, stored_names(stored, where), where, in)) return;
  auto& group = optimizer_.param_groups()[number];
  Value::Map constructed;
  in.on_restore(
      kind.check_options(chosen_options(in, number, stored, constructed), where, group.options()));
  in.on_restore([this, number, constructed] {
    if (number < constructed_.size()) constructed_[number] = constructed;
  });
  for (std::size_t i = 0; i < names.size(); ++i) {
    check_state(in, kind, names[i], group.params()[i]);
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

void OptimizerPart::check_state(PartReader& in, const OptimizerKind& kind, const std::string& name,
                                const at::Tensor& parameter) {
  // Copyable, because std::function asks for it.
  auto fresh = std::make_shared<std::unique_ptr<torch::optim::OptimizerParamState>>();
  const Value::Map& states = in.value("state").as_map();
  auto stored = states.find(name);
  if (stored != states.end()) *fresh = kind.check_state(stored->second, name, parameter, in);
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

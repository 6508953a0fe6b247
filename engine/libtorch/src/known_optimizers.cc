#include "known_optimizers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <deque>
#include <tuple>
#include <type_traits>
#include <utility>

#include "ckp/error.h"
#include "ckp/libtorch/tensor.h"
#include "optimizer_fields.h"

namespace ckp::libtorch {
namespace {

namespace optim = ::torch::optim;
using Betas = std::tuple<double, double>;
// LibTorch's optional: its own in 1.13, the standard one in 2.x.
using MaybeInt = std::remove_cvref_t<decltype(std::declval<optim::LBFGSOptions&>().max_eval())>;
using MaybeText =
    std::remove_cvref_t<decltype(std::declval<optim::LBFGSOptions&>().line_search_fn())>;
using TensorList = std::deque<at::Tensor>;

struct SaveOption {
  Value::Map& out;
  void operator()(const char* name, double value) { out[name] = value; }
  void operator()(const char* name, bool value) { out[name] = value; }
  void operator()(const char* name, std::int64_t value) { out[name] = value; }
  void operator()(const char* name, const Betas& value) {
    out[name] = Value::List{std::get<0>(value), std::get<1>(value)};
  }
  void operator()(const char* name, const MaybeInt& value) { save_optional(name, value); }
  void operator()(const char* name, const MaybeText& value) { save_optional(name, value); }

  template <class T>
  void save_optional(const char* name, const T& value) {
    Value& saved = out[name] = Value();
    if (value) saved = *value;
  }
};

struct ReadOption {
  const Value& stored;
  const std::string& where;

  template <class T>
  void operator()(const char* name, T& member) {
    const Value* value = stored.find(name);
    if (value == nullptr || !read(*value, member)) {
      throw Error(ErrorCode::mismatch,
                  fmt::format("{}: the option {} is {} in the checkpoint; nothing was changed",
                              where, name, value == nullptr ? "missing" : "of another type"));
    }
  }

  static bool read(const Value& value, double& member) {
    if (!value.is_number()) return false;
    member = value.as_double();
    return true;
  }
  static bool read(const Value& value, bool& member) {
    const bool* flag = value.get_if<bool>();
    if (flag != nullptr) member = *flag;
    return flag != nullptr;
  }
  static bool read(const Value& value, std::int64_t& member) {
    const auto* number = value.get_if<std::int64_t>();
    if (number != nullptr) member = *number;
    return number != nullptr;
  }
  static bool read(const Value& value, std::string& member) {
    const auto* text = value.get_if<std::string>();
    if (text != nullptr) member = *text;
    return text != nullptr;
  }
  static bool read(const Value& value, MaybeInt& member) { return read_optional(value, member); }
  static bool read(const Value& value, MaybeText& member) { return read_optional(value, member); }
  template <class T>
  static bool read_optional(const Value& value, T& member) {
    member = T();
    if (value.is_null()) return true;
    typename T::value_type content{};
    if (!read(value, content)) return false;
    member = content;
    return true;
  }
  static bool read(const Value& value, Betas& member) {
    const Value::List* list = value.get_if<Value::List>();
    return list != nullptr && list->size() == 2 && read((*list)[0], std::get<0>(member)) &&
           read((*list)[1], std::get<1>(member));
  }
};

struct SaveField {
  Value::Map& plain;
  const std::string& parameter;
  PartWriter& out;
  void operator()(const char* name, std::int64_t value) { plain[name] = value; }
  void operator()(const char* name, double value) { plain[name] = value; }
  void operator()(const char* name, const at::Tensor& value) {
    if (value.defined()) out.tensor(parameter + "/" + name, value);  // undefined: not in use
  }
  void operator()(const char* name, const TensorList& list) {
    plain[name] = static_cast<std::int64_t>(list.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
      out.tensor(fmt::format("{}/{}/{}", parameter, name, i), list[i]);
    }
  }
};

struct ReadField {
  const Value& stored;
  const std::string& parameter;
  const at::Tensor& like;
  PartReader& in;
  bool is_flat;

  void operator()(const char* name, std::int64_t& member) { number(name, member); }
  void operator()(const char* name, double& member) { number(name, member); }
  void operator()(const char* name, at::Tensor& member) {
    const std::string full = parameter + "/" + name;
    member = in.find(full) == nullptr ? at::Tensor() : tensor(full);
  }
  void operator()(const char* name, TensorList& list) {
    std::int64_t count = 0;
    number(name, count);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::string full = fmt::format("{}/{}/{}", parameter, name, i);
      if (in.find(full) == nullptr) {
        in.mismatch(fmt::format("{}/{}: not in the checkpoint", in.part(), full));
        return;
      }
      list.push_back(tensor(full));
    }
  }

  template <class T>
  void number(const char* name, T& member) {
    const Value* value = stored.find(name);
    if (value == nullptr || !ReadOption::read(*value, member)) {
      in.mismatch(
          fmt::format("{}/{}: the checkpoint has no number \"{}\"", in.part(), parameter, name));
    }
  }
  at::Tensor tensor(const std::string& full) {
    const format::TensorEntry* entry = in.find(full);
    const bool scalar_of_all = is_flat && entry->shape.empty();
    if (!scalar_of_all && entry->shape != like.sizes().vec()) {
      in.mismatch(fmt::format("{}: shape [{}] in the checkpoint, but the parameter has {}",
                              entry->name, fmt::join(entry->shape, ", "), describe(like)));
    }
    return in.new_tensor(full, like.device());
  }
};

template <class TOptimizer, class TOptions, class TState>
class Kind : public OptimizerKind {
 public:
  explicit Kind(std::string_view name) : name_(name) {}

  bool matches(const torch::optim::Optimizer& optimizer) const {
    return dynamic_cast<const TOptimizer*>(&optimizer) != nullptr;
  }
  std::string_view name() const override { return name_; }

  Value::Map save_options(const Options& options) const override {
    Value::Map values;
    visit(static_cast<const TOptions&>(options), SaveOption{values});
    return values;
  }

  std::function<void()> check_options(const Value& stored, const std::string& where,
                                      Options& options) const override {
    auto& target = static_cast<TOptions&>(options);
    TOptions read = target;
    visit(read, ReadOption{stored, where});
    return [&target, read] { target = read; };
  }

  Value::Map save_state(const State& state, const std::string& parameter,
                        PartWriter& out) const override {
    Value::Map plain;
    visit(static_cast<const TState&>(state), SaveField{plain, parameter, out});
    return plain;
  }

  std::unique_ptr<State> check_state(const Value& stored, const std::string& parameter,
                                     const at::Tensor& like, PartReader& in) const override {
    auto state = std::make_unique<TState>();
    visit(*state, ReadField{stored, parameter, like, in, is_flat()});
    return state;
  }

  bool is_flat() const override { return std::is_same_v<TOptimizer, optim::LBFGS>; }

 private:
  std::string_view name_;
};

const Kind<optim::SGD, optim::SGDOptions, optim::SGDParamState> kSgd("SGD");
const Kind<optim::Adam, optim::AdamOptions, optim::AdamParamState> kAdam("Adam");
const Kind<optim::AdamW, optim::AdamWOptions, optim::AdamWParamState> kAdamW("AdamW");
const Kind<optim::RMSprop, optim::RMSpropOptions, optim::RMSpropParamState> kRmsprop("RMSprop");
const Kind<optim::Adagrad, optim::AdagradOptions, optim::AdagradParamState> kAdagrad("Adagrad");
const Kind<optim::LBFGS, optim::LBFGSOptions, optim::LBFGSParamState> kLbfgs("LBFGS");

}  // namespace

const OptimizerKind& kind_of(const torch::optim::Optimizer& optimizer, const std::string& part) {
  if (kSgd.matches(optimizer)) return kSgd;
  if (kAdam.matches(optimizer)) return kAdam;
  if (kAdamW.matches(optimizer)) return kAdamW;
  if (kRmsprop.matches(optimizer)) return kRmsprop;
  if (kAdagrad.matches(optimizer)) return kAdagrad;
  if (kLbfgs.matches(optimizer)) return kLbfgs;
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: only SGD, Adam, AdamW, RMSprop, Adagrad and LBFGS are known; give "
                          "TrainingState::optimizer an OptimizerKind for one of your own",
                          part));
}

}  // namespace ckp::libtorch

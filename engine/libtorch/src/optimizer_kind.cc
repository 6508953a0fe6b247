#include "optimizer_kind.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <tuple>

#include "ckp/error.h"
#include "ckp/libtorch/tensor.h"
#include "optimizer_fields.h"

namespace ckp::libtorch {
namespace {

using Betas = std::tuple<double, double>;

struct SaveOption {
  Value::Map& out;
  void operator()(const char* name, double value) { out[name] = value; }
  void operator()(const char* name, bool value) { out[name] = value; }
  void operator()(const char* name, const Betas& value) {
    out[name] = Value::List{std::get<0>(value), std::get<1>(value)};
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
  void operator()(const char* name, const at::Tensor& value) {
    if (value.defined()) out.tensor(parameter + "/" + name, value);  // undefined: not in use
  }
};

struct ReadField {
  const Value& stored;
  const std::string& parameter;
  const at::Tensor& like;
  PartReader& in;

  void operator()(const char* name, std::int64_t& member) {
    const Value* value = stored.find(name);
    if (value != nullptr && value->get_if<std::int64_t>() != nullptr) {
      member = value->as_int();
    } else {
      in.mismatch(
          fmt::format("{}/{}: the checkpoint has no integer \"{}\"", in.part(), parameter, name));
    }
  }
  void operator()(const char* name, at::Tensor& member) {
    const std::string full = parameter + "/" + name;
    const format::TensorEntry* entry = in.find(full);
    if (entry == nullptr) {
      member = at::Tensor();
      return;
    }
    if (entry->shape != like.sizes().vec()) {
      in.mismatch(fmt::format("{}: shape [{}] in the checkpoint, but the parameter has {}",
                              entry->name, fmt::join(entry->shape, ", "), describe(like)));
    }
    member = in.new_tensor(full, like.device());
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
    visit(*state, ReadField{stored, parameter, like, in});
    return state;
  }

 private:
  std::string_view name_;
};

namespace optim = ::torch::optim;
const Kind<optim::SGD, optim::SGDOptions, optim::SGDParamState> kSgd("SGD");
const Kind<optim::Adam, optim::AdamOptions, optim::AdamParamState> kAdam("Adam");
const Kind<optim::AdamW, optim::AdamWOptions, optim::AdamWParamState> kAdamW("AdamW");
const Kind<optim::RMSprop, optim::RMSpropOptions, optim::RMSpropParamState> kRmsprop("RMSprop");
const Kind<optim::Adagrad, optim::AdagradOptions, optim::AdagradParamState> kAdagrad("Adagrad");

}  // namespace

const OptimizerKind& kind_of(const torch::optim::Optimizer& optimizer, const std::string& part) {
  if (kSgd.matches(optimizer)) return kSgd;
  if (kAdam.matches(optimizer)) return kAdam;
  if (kAdamW.matches(optimizer)) return kAdamW;
  if (kRmsprop.matches(optimizer)) return kRmsprop;
  if (kAdagrad.matches(optimizer)) return kAdagrad;
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: only SGD, Adam, AdamW, RMSprop and Adagrad are known; register "
                          "another optimizer's state with a Part of your own",
                          part));
}

}  // namespace ckp::libtorch

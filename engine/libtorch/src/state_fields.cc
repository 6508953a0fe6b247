#include "state_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace ckp::libtorch {
namespace {

bool read(const Value& value, bool& member) {
  const bool* flag = value.get_if<bool>();
  if (flag != nullptr) member = *flag;
  return flag != nullptr;
}

bool read(const Value& value, std::int64_t& member) {
  const auto* number = value.get_if<std::int64_t>();
  if (number != nullptr) member = *number;
  return number != nullptr;
}

bool read(const Value& value, double& member) {
  if (!value.is_number()) return false;
  member = value.as_double();
  return true;
}

bool read(const Value& value, std::string& member) {
  const auto* text = value.get_if<std::string>();
  if (text != nullptr) member = *text;
  return text != nullptr;
}

template <class T>
bool read(const Value& value, std::vector<T>& member) {
  const auto* list = value.get_if<Value::List>();
  if (list == nullptr) return false;
  member.assign(list->size(), T());
  for (std::size_t i = 0; i < list->size(); ++i) {
    if (!read((*list)[i], member[i])) return false;
  }
  return true;
}

// What counts on while training, as opposed to what the program constructs.
bool is_counter(std::string_view name) {
  constexpr std::array counters{"last_epoch", "_step_count",    "_last_lr",         "T_cur",
                                "T_i",        "num_bad_epochs", "cooldown_counter", "best",
                                "n_averaged", "calls"};
  return std::find(counters.begin(), counters.end(), name) != counters.end();
}

}  // namespace

bool RestoreFields::keeps_program(const std::string& name, Value program, const Value& stored) {
  if (is_counter(name)) return false;
  const std::string inside = where_.substr(std::min(where_.size(), in_.part().size() + 1));
  const std::string path = inside.empty() ? name : inside + "/" + name;
  in_.compare(path, std::move(program), stored);
  // The rates that a schedule starts from follow the optimizer's.
  return in_.keeps_constructed(path) || (name == "base_lrs" && in_.keeps_learning_rates());
}

template <class T>
void RestoreFields::restore(const char* name, T& member) {
  const Value* value = stored_.find(name);
  T stored{};
  if (value == nullptr || !read(*value, stored)) {
    in_.mismatch(fmt::format("{}/{}: {} in the checkpoint", where_, name,
                             value == nullptr ? "missing" : "of another type"));
    return;
  }
  Value::Map program;
  SaveFields{program}(name, member);
  if (keeps_program(name, program.at(name), *value)) return;
  in_.on_restore([&member, stored] { member = stored; });
}

void RestoreFields::operator()(const char* name, bool& member) { restore(name, member); }
void RestoreFields::operator()(const char* name, std::int64_t& member) { restore(name, member); }
void RestoreFields::operator()(const char* name, double& member) { restore(name, member); }
void RestoreFields::operator()(const char* name, std::string& member) { restore(name, member); }
void RestoreFields::operator()(const char* name, std::vector<std::int64_t>& member) {
  restore(name, member);
}
void RestoreFields::operator()(const char* name, std::vector<double>& member) {
  restore(name, member);
}

}  // namespace ckp::libtorch

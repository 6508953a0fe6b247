// The plain members of an object, named once for saving and for restoring.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/libtorch/part.h"

namespace ckp::libtorch {

class StateFields {
 public:
  virtual ~StateFields() = default;
  virtual void operator()(const char* name, bool& member) = 0;
  virtual void operator()(const char* name, std::int64_t& member) = 0;
  virtual void operator()(const char* name, double& member) = 0;
  virtual void operator()(const char* name, std::string& member) = 0;
  virtual void operator()(const char* name, std::vector<std::int64_t>& member) = 0;
  virtual void operator()(const char* name, std::vector<double>& member) = 0;
};

class SaveFields : public StateFields {
 public:
  explicit SaveFields(Value::Map& out) : out_(out) {}
  void operator()(const char* name, bool& member) override { out_[name] = member; }
  void operator()(const char* name, std::int64_t& member) override { out_[name] = member; }
  void operator()(const char* name, double& member) override { out_[name] = member; }
  void operator()(const char* name, std::string& member) override { out_[name] = member; }
  void operator()(const char* name, std::vector<std::int64_t>& member) override {
    out_[name] = Value::List(member.begin(), member.end());
  }
  void operator()(const char* name, std::vector<double>& member) override {
    out_[name] = Value::List(member.begin(), member.end());
  }

 private:
  Value::Map& out_;
};

// Checks every member against `stored`, the map of an object that messages call `where`, and
// schedules the assignments.
class RestoreFields : public StateFields {
 public:
  RestoreFields(const Value& stored, std::string where, PartReader& in)
      : stored_(stored), where_(std::move(where)), in_(in) {}
  void operator()(const char* name, bool& member) override;
  void operator()(const char* name, std::int64_t& member) override;
  void operator()(const char* name, double& member) override;
  void operator()(const char* name, std::string& member) override;
  void operator()(const char* name, std::vector<std::int64_t>& member) override;
  void operator()(const char* name, std::vector<double>& member) override;

 private:
  template <class T>
  void restore(const char* name, T& member);
  // Tells the report where the program has constructed a hyper-parameter differently.
  bool keeps_program(const std::string& name, Value program, const Value& stored);

  const Value& stored_;
  std::string where_;
  PartReader& in_;
};

}  // namespace ckp::libtorch

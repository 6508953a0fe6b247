// What `attributes.NAME` can name.
#pragma once

#include <span>
#include <string_view>

#include "query/operand.h"

namespace ckp {

struct Attribute {
  enum class Type { text, status, number, truth, time };
  // Where it comes from: what is not of the run's record is undecided as long as the checkpoints
  // have not been read, and missing where there is no checkpoint.
  enum class From { run, history, checkpoint };

  std::string_view name;
  std::string_view alias;  // as in MLflow, or empty
  Type type = Type::text;
  From from = From::run;
  Operand (*get)(const Subject& subject, Scratch& scratch) = nullptr;
  std::string_view meaning;
};

std::span<const Attribute> all_attributes();

}  // namespace ckp

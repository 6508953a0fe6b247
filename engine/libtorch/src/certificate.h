// Making and comparing the resume certificate (ckp/certificate.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ckp/libtorch/part.h"
#include "ckp/libtorch/ranks.h"

namespace torch {
namespace nn {
class Module;
}
}  // namespace torch

namespace ckp {
class Checkpoint;
}

namespace ckp::libtorch {

class RestorePlan;

// A part as the certificate sees it.
struct CertifiedPart {
  const std::string& name;
  const Part& part;
  const torch::nn::Module* module = nullptr;  // of a model
};

// `values`: those that the parts have saved. `facts`: the caller's own, above the library's.
Value::Map make_certificate(const std::vector<CertifiedPart>& parts, const Value::Map& values,
                            const Value::Map& facts, const Ranks& ranks);

// Tells the plan what differs between the checkpoint's facts and this program's.
void compare_facts(RestorePlan& plan, const std::vector<CertifiedPart>& parts,
                   const Value::Map& facts, const Ranks& ranks);

// The place of the process that saved a checkpoint; rank 0 of 1 when it does not say.
Ranks saved_ranks(const Checkpoint& checkpoint);

}  // namespace ckp::libtorch

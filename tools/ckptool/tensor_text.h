// How comparisons of tensors look.
#pragma once

#include <string>

#include "ckp/compare.h"
#include "json.h"

namespace ckp::tool {

// "unchanged", "changed", "other type", "only in A", ...
std::string_view to_string(TensorChange::Kind kind);
// "[3, 4] float32".
std::string type_text(const TensorType& type);
// "0.0123"; "<=0.0123" where it is an upper bound; "-" for none.
std::string relative_text(const TensorChange& change);
// "NaN at [3, 0]".
std::string nonfinite_text(const NonfiniteElement& element);

Json to_json(const TensorChange& change);
Json to_json(const NonfiniteElement& element);
Json to_json(const std::optional<double>& number);

}  // namespace ckp::tool

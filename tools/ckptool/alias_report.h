// How changes of aliases are shown.
#pragma once

#include "ckp/aliases.h"
#include "json.h"

namespace ckp::tool {

Json to_json(const AliasChange& change);
// "9c0e11d2", or "-" for none.
std::string short_id(const std::optional<Uuid>& checkpoint);
// "production: 9c0e11d2 -> 81af0c44".
std::string change_text(const AliasChange& change);

}  // namespace ckp::tool

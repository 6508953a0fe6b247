// Keys out of tokens.
#pragma once

#include "ckp/filter.h"
#include "query/lexer.h"

namespace ckp {

// Takes the key that comes next.
Key take_key(Lexer& lexer);

}  // namespace ckp

// Words of commands that are to be pasted.
#pragma once

#include <string>
#include <string_view>

namespace ckp {

// `text` as one word of a POSIX shell: as it is, or in single quotes when it has characters that a
// shell takes for more than letters.
std::string shell_word(std::string_view text);

}  // namespace ckp

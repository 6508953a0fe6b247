// What verify found, as text and as JSON.
#pragma once

#include <string>

#include "ckp/verify.h"
#include "json.h"

namespace ckp::tool {

// `store` is empty for a file by itself.
std::string verify_text(const VerifyReport& report, const VerifyOptions& options,
                        const std::string& store, bool quiet);
Json verify_json(const VerifyReport& report, const VerifyOptions& options,
                 const std::string& store);

}  // namespace ckp::tool

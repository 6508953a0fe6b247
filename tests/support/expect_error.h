// Expectations on errors: the code and what the message says.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "ckp/error.h"

namespace ckp::test {

// Runs `action`; fails unless it throws ckp::Error with `code` and a message that holds `part`.
template <class Action>
void expect_error(ErrorCode code, std::string_view part, Action&& action) {
  try {
    action();
    ADD_FAILURE() << "no error; expected " << to_string(code) << ": ..." << part;
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), to_string(code)) << error.what();
    EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos)
        << "message: " << error.what() << "\nexpected in it: " << part;
  }
}

}  // namespace ckp::test

// An example of the library that is a real training job: see train.cc for the loop and
// experiment.cc for what is trained.
#include <fmt/format.h>

#include <csignal>
#include <exception>

#include "ckp/error.h"
#include "options.h"
#include "output.h"
#include "train.h"

namespace {

// The same numbers as ckptool's.
int exit_code(ckp::ErrorCode code) {
  switch (code) {
    case ckp::ErrorCode::invalid_argument:
      return 2;
    case ckp::ErrorCode::corrupt:
      return 4;
    case ckp::ErrorCode::locked:
      return 11;
    case ckp::ErrorCode::newer_format:
      return 12;
    default:
      return 1;
  }
}

int run(const example::Options& options) {
  try {
    example::Output output(options.json);
    return example::train(options, output);
  } catch (const ckp::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return exit_code(error.code());
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is met as an error of the save
  const example::ParseResult parsed = example::parse_options(argc, argv);
  return parsed.options ? run(*parsed.options) : parsed.exit_code;
}

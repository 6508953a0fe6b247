#include "ckp/libtorch/stop_signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/expect_error.h"

namespace ckp::test {
namespace {

using libtorch::StopSignals;

// How a child ends that does `action`: minus the signal, or its status.
template <class Action>
int end_of_child(Action&& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    action();
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(StopSignals, TheFirstOneIsNotedAndNothingElseHappens) {
  for (int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    EXPECT_EQ(end_of_child([&] {
                StopSignals signals;
                if (signals.raised() != 0) ::_exit(1);
                ::raise(signal);
                ::_exit(signals.raised() == signal ? 7 : 2);
              }),
              7);
  }
}

TEST(StopSignals, TheSecondOneEndsTheProcess) {
  EXPECT_EQ(end_of_child([] {
              StopSignals signals;
              ::raise(SIGINT);
              ::raise(SIGINT);
              ::_exit(1);
            }),
            -SIGINT);
}

TEST(StopSignals, TheFirstOfSeveralCounts) {
  EXPECT_EQ(end_of_child([] {
              StopSignals signals;
              ::raise(SIGUSR1);
              ::raise(SIGTERM);
              ::_exit(signals.raised() == SIGUSR1 ? 7 : 2);
            }),
            7);
}

volatile std::sig_atomic_t handled = 0;

TEST(StopSignals, HandlersComeBack) {
  EXPECT_EQ(end_of_child([] {
              std::signal(SIGTERM, [](int) { handled = handled + 1; });
              {
                StopSignals signals;
                ::raise(SIGTERM);  // noted
                if (handled != 0) ::_exit(1);
                ::raise(SIGTERM);  // the former handler's again
                if (handled != 1) ::_exit(2);
              }
              { StopSignals signals; }
              ::raise(SIGTERM);
              ::_exit(handled == 2 ? 7 : 3);
            }),
            7);
}

TEST(StopSignals, WhatWasIgnoredStaysIgnored) {
  EXPECT_EQ(end_of_child([] {
              std::signal(SIGINT, SIG_IGN);
              StopSignals signals;
              ::raise(SIGINT);
              ::_exit(signals.raised() == 0 ? 7 : 1);
            }),
            7);
}

TEST(StopSignals, OneAtATime) {
  StopSignals signals;
  expect_error(ErrorCode::invalid_argument, "another object", [] { StopSignals second; });
}

TEST(StopSignals, NamesOfSignals) {
  EXPECT_EQ(libtorch::signal_name(SIGTERM), "SIGTERM");
  EXPECT_EQ(libtorch::signal_name(SIGUSR1), "SIGUSR1");
  EXPECT_EQ(libtorch::signal_name(12345), "12345");
}

}  // namespace
}  // namespace ckp::test

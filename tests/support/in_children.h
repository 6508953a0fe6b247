// Many small experiments in few forked children: one that ends its process is known by its number.
#pragma once

#include <functional>

#include "support/child_process.h"

namespace ckp::test {

// Runs body(0), body(1), ... body(count - 1) in a forked child, and calls `tell` here with each
// number and what its body returned (0 to 255). When a child dies, `tell` gets minus the signal, or
// minus 1000 minus the exit status, for the number that was on, and another child goes on behind
// it.
inline void in_children(int count, const std::function<int(int)>& body,
                        const std::function<void(int, int)>& tell) {
  int next = 0;
  while (next < count) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) throw std::runtime_error("pipe");
    ChildProcess child([&] {
      for (int i = next; i < count; ++i) {
        const auto outcome = static_cast<unsigned char>(body(i));
        if (::write(ends[1], &outcome, 1) != 1) return 1;
      }
      return 0;
    });
    ::close(ends[1]);
    unsigned char outcome = 0;
    while (::read(ends[0], &outcome, 1) == 1) tell(next++, outcome);
    ::close(ends[0]);
    const int status = child.wait();
    if (next < count) tell(next++, status < 0 ? status : -1000 - status);
  }
}

}  // namespace ckp::test

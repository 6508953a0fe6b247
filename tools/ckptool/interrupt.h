// Ctrl-C as a flag, for commands that can stop half-way and say what they have found.
#pragma once

#include <csignal>

namespace ckp::tool {

// While one lives, SIGINT sets the flag. A second one ends the program as usual.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  bool raised() const;

 private:
  struct sigaction previous_ {};
};

}  // namespace ckp::tool

// What a forked child must not share with its parent.
//
// An open-file-description lock lives as long as any process has the description open: a data
// loader worker that was forked while its parent held a lock keeps that lock alive after the parent
// died, and an unlock in the worker takes the parent's lock away. So every file that is locked or
// open for writing is on one list, and a pthread_atfork handler closes them in each child, without
// unlocking anything.
//
// The list is the one object of ckpstore that is there once per process, because fork() is: its
// handlers take no argument, and must know of every store that any part of the process has open.
#pragma once

#include <sys/types.h>

namespace ckp {

class ForkGuarded {
 public:
  // Held while a descriptor is opened and enrolled, or closed and withdrawn: fork() on another
  // thread waits, so that no child starts between the two.
  class Section {
   public:
    Section();
    ~Section();
    Section(const Section&) = delete;
    Section& operator=(const Section&) = delete;
  };

  ForkGuarded(const ForkGuarded&) = delete;
  ForkGuarded& operator=(const ForkGuarded&) = delete;

 protected:
  ForkGuarded() = default;
  // The derived class has withdrawn itself.
  virtual ~ForkGuarded() = default;
  // Puts this on the list; does nothing when it is there.
  void enrol(const Section&);
  void withdraw(const Section&);
  bool is_enrolled() const { return enrolled_; }
  // Whether this process is a child forked after enrol().
  bool in_forked_child() const;

 private:
  friend struct ForkGuardList;
  // Called in a new child, between fork() and its return: closes, and calls nothing that is not
  // async-signal-safe.
  virtual void abandon_in_child() noexcept = 0;

  ForkGuarded* previous_ = nullptr;
  ForkGuarded* next_ = nullptr;
  bool enrolled_ = false;
  bool abandoned_ = false;
  pid_t owner_ = 0;
};

}  // namespace ckp

#include "io/fork_guard.h"

#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <system_error>

namespace ckp {
namespace {

// Never destroyed, so that files may outlive every static destructor.
constinit std::mutex mutex;
constinit ForkGuarded* first_guarded = nullptr;

}  // namespace

struct ForkGuardList {
  static void prepare() { mutex.lock(); }
  static void parent() { mutex.unlock(); }
  static void child() {
    for (ForkGuarded* entry = first_guarded; entry != nullptr;) {
      ForkGuarded* next = entry->next_;
      entry->abandon_in_child();
      entry->abandoned_ = true;
      entry->enrolled_ = false;
      entry->previous_ = entry->next_ = nullptr;
      entry = next;
    }
    first_guarded = nullptr;
    mutex.unlock();
  }
  // 0, or why the handlers could not be installed. From the start of the program: a fork that
  // begins before them does not wait for a file that another thread opens meanwhile.
  static const int install_error;
};
const int ForkGuardList::install_error = pthread_atfork(prepare, parent, child);

ForkGuarded::Section::Section() { mutex.lock(); }
ForkGuarded::Section::~Section() { mutex.unlock(); }

void ForkGuarded::enrol(const Section&) {
  if (enrolled_) return;
  if (ForkGuardList::install_error != 0) {
    throw std::system_error(ForkGuardList::install_error, std::generic_category(),
                            "pthread_atfork");
  }
  next_ = first_guarded;
  if (first_guarded != nullptr) first_guarded->previous_ = this;
  first_guarded = this;
  enrolled_ = true;
  owner_ = ::getpid();
}

void ForkGuarded::withdraw(const Section&) {
  if (!enrolled_) return;
  (previous_ != nullptr ? previous_->next_ : first_guarded) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  previous_ = next_ = nullptr;
  enrolled_ = false;
}

// The process id is compared as well for children made by a bare clone(), which runs no handlers.
bool ForkGuarded::in_forked_child() const {
  return abandoned_ || (enrolled_ && owner_ != ::getpid());
}

}  // namespace ckp

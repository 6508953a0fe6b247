// Allocations of this program that fail when told to. Linking allocation_fault.cc replaces malloc
// and its relatives, and so operator new, for the whole program with all its libraries; under a
// sanitizer, which has its own malloc, operator new alone.
#pragma once

#include <cstdint>

namespace ckp::test::allocation_fault {

// Counts from now on; allocation number `at` fails, that one alone. 0: none fails.
void plan(std::uint64_t at);
void clear();
// Allocations since plan().
std::uint64_t counted();
// Whether one has failed since plan().
bool struck();

// Whether live() means anything: a sanitizer finds leaks by itself.
bool can_count_live();
// Pieces that have been allocated and not freed.
std::int64_t live();

}  // namespace ckp::test::allocation_fault

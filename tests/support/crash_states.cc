#include "support/crash_states.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <tuple>

#include "ckp/format/store_identity.h"

namespace ckp::test {
namespace {

using Random = std::mt19937_64;
using Question = Disk::Question;
using Fates = std::vector<Fate>;

constexpr std::uint64_t lmdb_header_pages = 2;
constexpr std::uint64_t lmdb_page = 4096;

std::size_t product_of_choices(const std::vector<Question>& questions, std::size_t limit) {
  std::size_t product = 1;
  for (const Question& question : questions) {
    if (question.choices > limit / product) return limit + 1;
    product *= question.choices;
  }
  return product;
}

Fate fate_of(std::size_t choice, Random& random) {
  Fate fate;
  fate.choice = choice;
  // In no order, or only the first ones, or only the last ones.
  const std::uint64_t bits = random(), shift = random() % 64;
  fate.sectors = bits % 3 == 0   ? random()
                 : bits % 3 == 1 ? ~std::uint64_t{0} << shift
                                 : ~(~std::uint64_t{0} << shift);
  fate.sized = random() % 2 == 0;
  return fate;
}

Fates all_alike(const std::vector<Question>& questions, bool kept) {
  Fates fates(questions.size());
  for (std::size_t i = 0; kept && i < fates.size(); ++i) fates[i].choice = questions[i].choices - 1;
  return fates;
}

Fates random_fates(const std::vector<Question>& questions, Random& random) {
  constexpr std::uint64_t kept_of_eight[] = {1, 4, 7};
  const std::uint64_t kept = kept_of_eight[random() % 3];
  Fates fates;
  for (const Question& question : questions) {
    const std::size_t highest = question.choices - 1;
    const std::size_t choice = highest > 1 && random() % 3 == 0 ? random() % question.choices
                               : random() % 8 < kept            ? highest
                                                                : 0;
    fates.push_back(fate_of(choice, random));
  }
  return fates;
}

std::vector<Fates> every_combination(const std::vector<Question>& questions, Random& random) {
  std::vector<Fates> all{{}};
  for (const Question& question : questions) {
    std::vector<Fates> longer;
    for (const Fates& begun : all) {
      for (std::size_t choice = 0; choice < question.choices; ++choice) {
        longer.push_back(begun);
        longer.back().push_back(fate_of(choice, random));
      }
    }
    all = std::move(longer);
  }
  return all;
}

// All or nothing, one alone, all but one, and whatever chance brings; all of it where it is few.
std::vector<Fates> some_fates(const std::vector<Question>& questions, std::size_t count,
                              Random& random) {
  if (product_of_choices(questions, count) <= count) return every_combination(questions, random);
  std::vector<Fates> some{all_alike(questions, false), all_alike(questions, true)};
  std::vector<std::size_t> order(questions.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  for (const std::size_t i : order) {
    if (some.size() + 2 > 2 + count / 2) break;
    for (const bool others : {false, true}) {
      Fates fates = all_alike(questions, others);
      fates[i] = fate_of(others ? 0 : questions[i].choices - 1, random);
      some.push_back(std::move(fates));
    }
  }
  while (some.size() < count) some.push_back(random_fates(questions, random));
  return some;
}

std::string describe(const std::vector<Question>& questions, const Fates& fates) {
  std::string text;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (fates[i].choice == questions[i].choices - 1) continue;
    text += (fates[i].choice == 0 ? "\n  lost: " : "\n  in part: ") + questions[i].text;
  }
  return text;
}

// Whether one is what a single write transaction made of the other.
bool follows(const IndexSnapshot& last, const IndexSnapshot& before) {
  return last.bytes && before.bytes && last.status.inode == before.status.inode &&
         last.transaction == before.transaction + 1;
}

bool was_synced(const Recording& recording, const IndexSnapshot& index, std::size_t position) {
  return std::any_of(recording.index_syncs.begin(), recording.index_syncs.end(),
                     [&](const IndexSync& sync) {
                       return sync.position < position && sync.inode == index.status.inode &&
                              sync.transaction >= index.transaction;
                     });
}

// The index as of the state's position: the last one. LMDB writes past the seam. A transaction that
// had not returned may be there, not there, or cut off, and so may one of which only the pages were
// synced, and not the header, when the power is cut. A power cut can also leave none, since nobody
// syncs the directory of a new one.
void choose_index(const Recording& recording, CrashState& state) {
  std::vector<const IndexSnapshot*> past;
  for (const IndexSnapshot& index : recording.indexes) {
    if (index.position <= state.position) past.push_back(&index);
  }
  if (past.empty()) return;
  const auto whole = [](const IndexSnapshot* index) { return index != nullptr && index->bytes; };
  const IndexSnapshot* last = past.back();
  const IndexSnapshot* before = past.size() > 1 ? past[past.size() - 2] : nullptr;
  const bool may_be_cut = before != nullptr && follows(*last, *before);
  const std::uint64_t choice = state.choice % 8;
  const bool may_be_taken_back = state.kind == CrashKind::power_cut && may_be_cut &&
                                 !was_synced(recording, *last, state.position);
  state.index = last;
  if ((last->position == state.position || may_be_taken_back) && choice < 4) {
    if (may_be_cut) state.older_index = before;
    if (choice < 2) state.index = before;
  } else if (state.kind == CrashKind::power_cut && choice == 4) {
    state.index = nullptr;
  }
  if (!whole(state.index)) state.index = state.older_index = nullptr;
}

// LMDB writes its pages, then one of its two headers: a write that is cut leaves old headers and
// any of the new pages.
Bytes index_bytes(const CrashState& state) {
  Bytes bytes = *state.index->bytes;
  if (state.older_index == nullptr || state.older_index == state.index) return bytes;
  const Bytes& old = *state.older_index->bytes;
  Random random(state.choice);
  for (std::uint64_t page = 0; page * lmdb_page < std::min(bytes.size(), old.size()); ++page) {
    if (page >= lmdb_header_pages && random() % 2 == 0) continue;
    const auto from = static_cast<std::ptrdiff_t>(page * lmdb_page);
    std::copy_n(old.begin() + from, lmdb_page, bytes.begin() + from);
  }
  return bytes;
}

std::string store_of(const DiskImage& files) {
  for (const auto& [path, bytes] : files) {
    const std::filesystem::path whole(path);
    if (bytes && whole.filename() == "lock") return whole.parent_path().string();
  }
  return {};
}

bool fits(const format::IndexStamp& stamp, const IndexSnapshot* index) {
  return index != nullptr && stamp.device == index->status.device &&
         stamp.inode == index->status.inode && stamp.size == index->status.size &&
         stamp.change_time_ns == index->status.changed_ns;
}

// The stamp names an inode of the recorded place; here the file has another.
void move_stamp(format::StateBlock& block, const CrashState& state, const FileStatus& here) {
  const bool cut = state.kind == CrashKind::power_cut;
  const bool fits_now = fits(block.stamp, state.index) && state.older_index == nullptr;
  // LMDB syncs data, not times: after a power cut the file may show any earlier change time.
  if (!fits_now && !(cut && block.stamp.size == here.size && state.choice / 64 % 4 != 0)) return;
  block.stamp.device = here.device;
  block.stamp.inode = here.inode;
  block.stamp.size = here.size;
  block.stamp.change_time_ns = here.changed_ns;
}

void overwrite(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
}

// What a rebuild leaves that was stopped: a part of an index under the name of one in the making.
void write_cut_rebuild(const std::filesystem::path& store, const CrashState& state) {
  const auto making = store / "index.new-0123456789abcdef0123456789abcdef";
  std::filesystem::create_directory(making);
  if (state.index == nullptr) return;
  const Bytes bytes = index_bytes(state);
  overwrite(making / "data.mdb", std::span(bytes).first(bytes.size() / 2));
}

class States {
 public:
  States(const Recording& recording, const CrashLimits& limits, std::uint64_t seed,
         const std::function<void(const CrashState&)>& visit)
      : recording_(recording), limits_(limits), random_(seed), visit_(visit) {}

  std::uint64_t visit_all() {
    Disk disk = recording_.start;
    for (std::size_t position = 0; position <= recording_.log.size(); ++position) {
      if (position > 0) disk.apply(recording_.log[position - 1]);
      if (position >= limits_.first) visit_position(disk, position);
    }
    return seen_.size();
  }

 private:
  void visit_position(const Disk& disk, std::size_t position) {
    if (limits_.kills) visit_state(CrashKind::kill, position, disk.visible(), "");
    if (!limits_.power_cuts) return;
    const auto questions = disk.questions();
    for (const Fates& fates : some_fates(questions, limits_.states_per_position, random_)) {
      visit_state(CrashKind::power_cut, position, disk.after_cut(questions, fates),
                  describe(questions, fates));
    }
  }

  void visit_state(CrashKind kind, std::size_t position, DiskImage files, std::string text) {
    CrashState state;
    state.kind = kind;
    state.position = position;
    state.files = std::move(files);
    state.choice = random_();
    state.text = std::move(text);
    choose_index(recording_, state);
    const auto milestone = limits_.milestones.upper_bound(position);
    const std::size_t until =
        milestone == limits_.milestones.end() ? recording_.log.size() + 1 : *milestone;
    const Digest files_digest = digest_of(state.files);
    const Digest index_digest =
        state.index == nullptr ? Digest{} : ckp::digest_of(index_bytes(state));
    if (!looked_at_.emplace(files_digest, index_digest, kind, until).second) return;
    seen_.emplace(files_digest, index_digest, kind);
    visit_(state);
  }

  const Recording& recording_;
  const CrashLimits limits_;
  Random random_;
  const std::function<void(const CrashState&)>& visit_;
  std::set<std::tuple<Digest, Digest, CrashKind>> seen_;
  std::set<std::tuple<Digest, Digest, CrashKind, std::size_t>> looked_at_;
};

}  // namespace

std::uint64_t for_each_crash_state(const Recording& recording, const CrashLimits& limits,
                                   std::uint64_t seed,
                                   const std::function<void(const CrashState&)>& visit) {
  return States(recording, limits, seed, visit).visit_all();
}

CrashState only_synced(const Recording& recording, std::size_t position, std::uint64_t choice) {
  Disk disk = recording.start;
  for (std::size_t i = 0; i < position; ++i) disk.apply(recording.log[i]);
  CrashState state;
  state.kind = CrashKind::power_cut;
  state.position = position;
  state.files = disk.synced();
  state.choice = choice;
  state.text = "\n  everything that was not synced is lost";
  choose_index(recording, state);
  return state;
}

void write_state(const std::filesystem::path& directory, const CrashState& state) {
  write_image(directory, state.files);
  const std::string store = store_of(state.files);
  if (store.empty()) return;
  const bool is_store = state.files.contains(store + "/STORE");
  if (is_store && state.choice / 512 % 8 == 0) write_cut_rebuild(directory / store, state);
  std::optional<FileStatus> here;
  if (state.index != nullptr) {
    const auto index = directory / store / "index";
    std::filesystem::create_directory(index);
    overwrite(index / "data.mdb", index_bytes(state));
    here = posix_file_system()->status(index / "data.mdb");
  }
  const auto& bytes = *state.files.at(store + "/lock");
  auto block = format::decode_state_block(
      std::span(bytes).first(std::min(bytes.size(), format::StateBlock::size)));
  if (!block) return;
  if (here) move_stamp(*block, state, *here);
  if (state.kind == CrashKind::power_cut) block->boot.bytes[0] ^= std::byte{1};
  overwrite(directory / store / "lock", format::encode_state_block(*block));
}

}  // namespace ckp::test

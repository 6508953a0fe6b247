// Promise P5: files that are cut, exchanged, missing, empty, zero-filled, or somebody else's.
#include <gtest/gtest.h>

#include "damage/overlay_file_system.h"
#include "damage/sample_store.h"
#include "engine/sample_states.h"
#include "support/figure.h"
#include "support/fixed_header.h"
#include "support/memory_directory.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::Answers;
using test::FileBytes;
using test::SampleStore;

class WholeFileDamage : public testing::Test {
 protected:
  // Looks with the overlay as it is; expects no lie, and that each file is reported.
  Answers expect_told(const std::string& what, const std::vector<std::filesystem::path>& files,
                      const test::LookOptions& options = {.rebuild = true}) {
    Answers answers = test::look(store_, fs_, options);
    EXPECT_TRUE(answers.wrong.empty()) << what << ": " << answers.wrong.front();
    for (const auto& file : files) {
      EXPECT_TRUE(is_told(file, answers)) << what << ": nothing is said about " << file;
    }
    ++looks_;
    return answers;
  }

  // Everything as it was, also the index, which was made from what was damaged.
  void heal() {
    fs_->restore();
    Store::open(store_.path()).rebuild_index();
  }

  bool is_told(const std::filesystem::path& path, const Answers& answers) const {
    if (path.filename() == "lock") return true;  // a wrong one only costs time
    for (const std::string& message : answers.refused) {
      if (message.find(path.string()) != std::string::npos) return true;
    }
    return answers.has_no_store() || answers.finds(path) || answers.notes(path);
  }

  // The longest length at which a journal may lose records without anybody knowing: what was
  // written behind the last checkpoint's mark is not promised.
  std::uint64_t mark_of(const std::filesystem::path& journal) const {
    std::uint64_t mark = 0;
    for (const auto& run : store_.runs()) {
      for (const auto& saved : run.line) {
        const auto& own = saved.record.journal;
        if (own && journal.filename().string().find(own->journal.hex()) != std::string::npos) {
          mark = own->length;
        }
      }
    }
    return mark;
  }

  void tell(const std::string& name) const {
    test::figure(name, std::to_string(looks_) + " looks, 0 silent, 0 crashes");
  }

  const test::TemporaryDirectory directory_{test::memory_directory()};
  const SampleStore store_{directory_ / "store"};
  const std::shared_ptr<test::OverlayFileSystem> fs_ = std::make_shared<test::OverlayFileSystem>();
  std::uint64_t looks_ = 0;
};

TEST_F(WholeFileDamage, WithoutDamageAllIsRight) {
  const Answers answers = expect_told("nothing", {});
  EXPECT_TRUE(answers.refused.empty());
  EXPECT_EQ(answers.loaded.size(), 3u);
  ASSERT_TRUE(answers.report);
  EXPECT_TRUE(answers.report->clean());
}

TEST_F(WholeFileDamage, EveryLengthOfEveryFile) {
  for (const auto& path : store_.files()) {
    const FileBytes sound = test::read_bytes(path);
    const std::uint64_t mark = mark_of(path);
    for (std::size_t length = 0; length < sound.size(); length += test::stride) {
      fs_->replace(path, FileBytes(sound.begin(), sound.begin() + static_cast<long>(length)));
      const bool unknown = mark != 0 && length >= mark;
      const std::vector<std::filesystem::path> told = {path};
      expect_told(path.string() + " cut to " + std::to_string(length),
                  unknown ? std::vector<std::filesystem::path>{} : told,
                  {.rebuild = length % 32 == 0, .resume = length % 16 == 0});
      ASSERT_FALSE(HasFailure());
    }
    heal();
  }
  tell("P5 truncations");
}

TEST_F(WholeFileDamage, LongerFiles) {
  for (const auto& path : store_.files()) {
    for (const std::size_t more : {1u, 63u, 64u, 4096u}) {
      for (const int value : {0, 0x8a}) {
        FileBytes bytes = test::read_bytes(path);
        bytes.resize(bytes.size() + more, static_cast<std::byte>(value));
        fs_->replace(path, std::move(bytes));
        const bool is_store = path.filename() == "STORE";
        expect_told(path.string() + " and " + std::to_string(more) + " bytes",
                    is_store ? std::vector<std::filesystem::path>{}
                             : std::vector<std::filesystem::path>{path});
      }
    }
    heal();
  }
  tell("P5 longer files");
}

TEST_F(WholeFileDamage, ExchangedFiles) {
  const auto files = store_.files();
  for (std::size_t a = 0; a < files.size(); ++a) {
    for (std::size_t b = a + 1; b < files.size(); ++b) {
      fs_->replace(files[a], test::read_bytes(files[b]));
      fs_->replace(files[b], test::read_bytes(files[a]));
      expect_told(files[a].string() + " and " + files[b].string(), {files[a], files[b]});
      heal();
    }
  }
  tell("P5 exchanged files");
}

TEST_F(WholeFileDamage, MissingEmptyAndZeroFilledFiles) {
  for (const auto& path : store_.files()) {
    fs_->hide(path);
    expect_told(path.string() + " missing", {path}, {});
    fs_->replace(path, {});
    expect_told(path.string() + " empty", {path});
    fs_->replace(path, FileBytes(test::read_bytes(path).size()));
    expect_told(path.string() + " zero-filled", {path});
    heal();
  }
  tell("P5 missing, empty and zero-filled files");
}

// The same file of another store, from which every checksum is right.
TEST_F(WholeFileDamage, FilesOfAnotherStore) {
  const SampleStore other(directory_ / "other", 1);
  const auto theirs = other.files();
  for (const auto& path : store_.files()) {
    for (const auto& foreign : theirs) {
      fs_->replace(path, test::read_bytes(foreign));
      expect_told(path.string() + " is " + foreign.string(), {path});
      heal();
    }
  }
  tell("P5 files of another store");
}

TEST_F(WholeFileDamage, ForeignFiles) {
  const auto text = std::string(5000, 'x') + "\n";
  const std::string image =
      std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) + std::string(900, 'i');
  for (const auto& path : store_.files()) {
    for (const std::string& content : {text, image, std::string("PK\x03\x04") + text}) {
      const auto bytes = std::as_bytes(std::span(content));
      fs_->replace(path, FileBytes(bytes.begin(), bytes.end()));
      expect_told(path.string() + " is something else", {path});
      heal();
    }
  }
  tell("P5 foreign files");
}

// A newer version's file is called newer, and never taken for damage that may be repaired.
TEST_F(WholeFileDamage, FilesOfANewerVersion) {
  constexpr std::size_t versions_at = 8;
  for (const auto& path : store_.packs()) {
    FileBytes bytes = test::read_bytes(path);
    for (const auto part : {std::span(bytes).first(128), std::span(bytes).last(128)}) {
      part[versions_at] = part[versions_at + 2] = std::byte{2};
      test::reseal(part);
    }
    fs_->replace(path, std::move(bytes));
    test::LookOptions options;
    options.resume = false;  // refused: the newest cannot be passed over
    const Answers answers = test::look(store_, fs_, options);
    EXPECT_TRUE(answers.wrong.empty()) << answers.wrong.front();
    ASSERT_TRUE(answers.report);
    EXPECT_FALSE(answers.report->clean());
    EXPECT_FALSE(answers.report->newer.empty());
    heal();
    ++looks_;
  }
  tell("P5 newer files");
}

}  // namespace
}  // namespace ckp

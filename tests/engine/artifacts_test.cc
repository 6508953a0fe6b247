// Files that are saved with a checkpoint, and had back.
#include "ckp/artifacts.h"

#include <chrono>
#include <fstream>
#include <iterator>
#include <random>

#include "ckp/compare.h"
#include "ckp/convert.h"
#include "ckp/state_digest.h"
#include "engine/store_fixture.h"
#include "io/host.h"
#include "save/captured_artifacts.h"

namespace ckp::test {
namespace {

namespace stdfs = std::filesystem;

std::string noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

class ArtifactsTest : public StoreTest {
 protected:
  // A file to be saved.
  ArtifactFile file(const std::string& name, const std::string& content) {
    const stdfs::path path = directory_ / ("file-" + std::to_string(files_++));
    write(path, content);
    return {name, path};
  }
  static void write(const stdfs::path& path, const std::string& content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  static std::string content_of(const Checkpoint& checkpoint, std::string_view name) {
    std::string content;
    read_artifact(checkpoint, name, [&](std::span<const std::byte> bytes) {
      content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    });
    return content;
  }
  static std::vector<std::string> names_in(const Checkpoint& checkpoint) {
    std::vector<std::string> names;
    for (const Artifact& each : artifacts_of(checkpoint)) names.push_back(each.name);
    return names;
  }
  SaveReport save_with(ckp::Run& run, int epoch, std::vector<ArtifactFile> files,
                       SnapshotMode snapshot = SnapshotMode::copied) {
    return run
        .save(SmallState(epoch).dict(),
              {.epoch = epoch, .artifacts = std::move(files), .snapshot = snapshot})
        .wait();
  }

 private:
  int files_ = 0;
};

TEST_F(ArtifactsTest, ComeBackAsTheyWere) {
  const std::string large = noise((16u << 20) + 12345, 1) + std::string(3u << 20, '\0');
  const std::vector<ArtifactFile> files = {file("tokenizer.json", "{\"a\": 1}"), file("empty", ""),
                                           file("reports/ä b.png", noise(70'000, 2)),
                                           file("large.bin", large)};
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  for (const SnapshotMode mode : {SnapshotMode::copied, SnapshotMode::none, SnapshotMode::lazy}) {
    const int epoch = static_cast<int>(mode) + 1;
    const SaveReport report = save_with(run, epoch, files, mode);
    const Checkpoint saved = store.open_checkpoint(report.checkpoint);
    EXPECT_TRUE(SmallState(epoch).is_in(saved));
    EXPECT_EQ(names_in(saved), (std::vector<std::string>{"empty", "large.bin", "reports/ä b.png",
                                                         "tokenizer.json"}));
    EXPECT_EQ(content_of(saved, "tokenizer.json"), "{\"a\": 1}");
    EXPECT_EQ(content_of(saved, "empty"), "");
    EXPECT_EQ(content_of(saved, "reports/ä b.png"), noise(70'000, 2));
    EXPECT_TRUE(content_of(saved, "large.bin") == large);
    const Artifact of_large = artifacts_of(saved)[1];
    EXPECT_EQ(of_large.size, large.size());
    EXPECT_EQ(of_large.digest, digest_of(std::as_bytes(std::span(large))));
  }
  run.finish(RunStatus::completed);
  EXPECT_TRUE(store.verify().findings.empty());
}

TEST_F(ArtifactsTest, AreStoredOnceAsLongAsTheyStayTheSame) {
  const ArtifactFile tokenizer = file("tokenizer.json", noise(300'000, 3));
  const ArtifactFile matrix = file("matrix.png", noise(5'000, 4));
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const SmallState state(1);
  const auto saved = [&](std::int64_t epoch) {
    return run.save(state.dict(), {.epoch = epoch, .artifacts = {tokenizer, matrix}}).wait();
  };
  EXPECT_GT(saved(1).bytes_written, 305'000u);
  const SaveReport second = saved(2);
  EXPECT_EQ(second.chunks_written, 0u);
  EXPECT_LT(second.bytes_written, 20'000u);
  write(matrix.path, noise(5'000, 5));
  const SaveReport third = saved(3);
  EXPECT_EQ(third.chunks_written, 1u);
  EXPECT_EQ(content_of(store.open_checkpoint(third.checkpoint), "matrix.png"), noise(5'000, 5));
  EXPECT_EQ(content_of(store.open_checkpoint(second.checkpoint), "matrix.png"), noise(5'000, 4));

  // Another run finds them by the index.
  ckp::Run other = store.create_run(run_options("other"));
  const SaveReport elsewhere =
      other.save(SmallState(9).dict(), {.epoch = 1, .artifacts = {tokenizer}}).wait();
  EXPECT_LT(elsewhere.chunks_written, 3u) << "its state only";
}

TEST_F(ArtifactsTest, MayBeOverwrittenWhenSaveHasReturned) {
  const ArtifactFile matrix = file("matrix.png", "of epoch 1");
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const SmallState state(1);
  PendingSave pending = run.save(state.dict(), {.epoch = 1, .artifacts = {matrix}});
  write(matrix.path, "of epoch 2");
  const Checkpoint saved = store.open_checkpoint(pending.wait().checkpoint);
  EXPECT_EQ(content_of(saved, "matrix.png"), "of epoch 1");
}

TEST_F(ArtifactsTest, SurviveThePruningOfTheCheckpointThatHasTheirBytes) {
  const ArtifactFile tokenizer = file("tokenizer.json", noise(100'000, 6));
  Store store = Store::create(path());
  {
    ckp::Run run = store.create_run(run_options("cnn"));
    for (int epoch = 1; epoch <= 4; ++epoch) save_with(run, epoch, {tokenizer});
    run.finish(RunStatus::completed);
  }
  store.prune({.last = 1});
  const auto left = store.checkpoints(store.run("cnn").id);
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(content_of(store.open_checkpoint(left[0]), "tokenizer.json"), noise(100'000, 6));
  EXPECT_TRUE(store.verify().findings.empty());
}

TEST_F(ArtifactsTest, AreNoPartOfTheState) {
  const SmallState state(1);
  save_file(directory_ / "with.ckp", state.dict(), {.artifacts = {file("a/b.txt", "text")}});
  save_file(directory_ / "other.ckp", state.dict(), {.artifacts = {file("a/b.txt", "TEXT")}});
  save_file(directory_ / "without.ckp", state.dict());
  const Checkpoint with = open_file(directory_ / "with.ckp");
  const Checkpoint other = open_file(directory_ / "other.ckp");
  const Checkpoint without = open_file(directory_ / "without.ckp");
  EXPECT_EQ(state_digest(with).total, state_digest(without).total);
  EXPECT_EQ(compare(with, other).size(), 2u) << "its two tensors";
  const ConvertReport report =
      write_safetensors(with, directory_ / "all.safetensors", {.all = true});
  EXPECT_EQ(report.tensors, 2u);
  EXPECT_EQ(report.left_out, std::vector<std::string>{"artifacts"});

  // But they go where the checkpoint goes.
  write_standalone(with, directory_ / "copy.ckp");
  EXPECT_EQ(content_of(open_file(directory_ / "copy.ckp"), "a/b.txt"), "text");
  Store store = Store::create(path());
  const CheckpointRecord imported = store.import_file(directory_ / "copy.ckp", {.run = "imported"});
  EXPECT_EQ(content_of(store.open_checkpoint(imported), "a/b.txt"), "text");
}

TEST_F(ArtifactsTest, NamesThatCannotBeFilesBelowAFolderAreRefused) {
  const std::vector<std::string> bad = {"",
                                        "/etc/passwd",
                                        "..",
                                        "a/../b",
                                        "./a",
                                        "a//b",
                                        "a/",
                                        "a\nb",
                                        std::string("a\0b", 3),
                                        "a\x7f",
                                        "\xff",
                                        std::string(256, 'x'),
                                        std::string(200, 'x') + "/" + std::string(900, 'y')};
  for (const std::string& name : bad) {
    expect_error(ErrorCode::invalid_argument, "artifact", [&] { check_artifact_name(name); });
  }
  for (const char* name : {"a", "..a", "a..", "a/b/c.txt", "ä", " "}) check_artifact_name(name);
}

TEST_F(ArtifactsTest, WhatMakesNoSenseIsRefusedBeforeAnythingIsSaved) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const ArtifactFile text = file("a", "text");
  const auto refused = [&](const StateDict& state, std::vector<ArtifactFile> files, ErrorCode code,
                           std::string_view part) {
    expect_error(code, part, [&] { run.save(state, {.epoch = 1, .artifacts = files}); });
  };
  const SmallState small(1);
  refused(small.dict(), {{"a", directory_ / "none"}}, ErrorCode::not_found, "no such file");
  refused(small.dict(), {{"a", path()}}, ErrorCode::invalid_argument, "folder");
  refused(small.dict(), {{"../a", text.path}}, ErrorCode::invalid_argument, "'..'");
  refused(small.dict(), {text, text}, ErrorCode::invalid_argument, "two of that name");
  refused(small.dict(), {text, {"a/b", text.path}}, ErrorCode::invalid_argument, "folder of 'a/b'");
  StateDict own = small.dict();
  own.set("artifacts/x", 1);
  refused(own, {text}, ErrorCode::invalid_argument, "a part named artifacts");
  EXPECT_TRUE(store.checkpoints(store.run("cnn").id).empty());
  // A part of that name is nobody else's business without files.
  const Checkpoint saved = store.open_checkpoint(run.save(own, {.epoch = 1}).wait().checkpoint);
  EXPECT_TRUE(artifacts_of(saved).empty());
}

TEST_F(ArtifactsTest, ALargeFileThatChangesBeforeItIsReadMakesTheSaveFail) {
  const auto write_it = [](std::span<const CapturedArtifact> captured) {
    WrittenState written;
    format::PackHeader header;
    header.uuid = random_uuid();
    format::PackWriter writer([](std::span<const std::byte>) {}, header);
    write_artifacts(captured, written, writer, nullptr, {});
  };
  const ArtifactFile large = file("large.bin", std::string(17u << 20, 'x'));
  const auto capture = [&] {
    return capture_artifacts(*posix_file_system(), StateDict(), std::span(&large, 1));
  };
  const auto captured = capture();
  EXPECT_EQ(held_size(captured), 0u);
  write_it(captured);
  stdfs::last_write_time(large.path, stdfs::file_time_type::clock::now() - std::chrono::hours(1));
  expect_error(ErrorCode::invalid_argument, "large.bin", [&] { write_it(captured); });
  const auto shortened = capture();
  stdfs::resize_file(large.path, 1000);
  expect_error(ErrorCode::invalid_argument, "became shorter", [&] { write_it(shortened); });
}

TEST_F(ArtifactsTest, DamageIsNamedAndNothingIsWritten) {
  const stdfs::path saved = directory_ / "with.ckp";
  save_file(saved, SmallState(1).dict(), {.artifacts = {file("tokenizer.json", noise(9'000, 7))}});
  std::string bytes;
  {
    std::ifstream in(saved, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  const std::size_t at = bytes.find(noise(9'000, 7));
  ASSERT_NE(at, std::string::npos);
  bytes[at + 100] = static_cast<char>(bytes[at + 100] ^ 1);
  write(saved, bytes);
  const Checkpoint checkpoint = open_file(saved);
  EXPECT_TRUE(SmallState(1).is_in(checkpoint));
  const stdfs::path out = directory_ / "tokenizer.json";
  for (const std::string& part : {std::string("artifact tokenizer.json"), saved.string(),
                                  std::string("hits tensor artifacts/tokenizer.json")}) {
    expect_error(ErrorCode::corrupt, part,
                 [&] { extract_artifact(checkpoint, "tokenizer.json", out); });
  }
  EXPECT_FALSE(stdfs::exists(out));
  expect_error(ErrorCode::not_found, "no artifact x; it has: tokenizer.json",
               [&] { read_artifact(checkpoint, "x", [](auto) {}); });
}

}  // namespace
}  // namespace ckp::test

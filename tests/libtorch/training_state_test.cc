// Schedulers, random state, sampler, progress, values, parts of one's own, and what a restore says.
#include "ckp/libtorch/progress.h"
#include "ckp/libtorch/sampler.h"
#include "small_net.h"

namespace ckp::test {
namespace {

using libtorch::Progress;
using libtorch::Sampler;
using libtorch::TrainingState;

class State : public ::testing::Test {
 protected:
  void save(const TrainingState& state) { libtorch::save_file(file_, state); }
  libtorch::RestoreReport load(const TrainingState& state, bool strict = true) {
    return libtorch::load_file(file_, state, {.strict = strict, .load = {}});
  }
  std::string refuse(const TrainingState& state) {
    return error_of(ErrorCode::mismatch, [&] { load(state); });
  }
  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "state.ckp";
};

TEST_F(State, StepLrGoesOnWhereItWas) {
  SmallNet net;
  torch::optim::SGD a(net->parameters(), 0.1), b(net->parameters(), 0.1);
  torch::optim::StepLR scheduler_a(a, 3, 0.5), scheduler_b(b, 3, 0.5);
  auto state = [&](auto& optimizer, auto& scheduler) {
    return TrainingState()
        .model("model", net)
        .optimizer("optimizer", optimizer)
        .scheduler("scheduler", scheduler);
  };
  for (int i = 0; i < 7; ++i) scheduler_a.step();
  save(state(a, scheduler_a));
  load(state(b, scheduler_b));
  for (int i = 0; i < 9; ++i) {
    EXPECT_EQ(b.param_groups()[0].options().get_lr(), a.param_groups()[0].options().get_lr()) << i;
    scheduler_a.step();
    scheduler_b.step();
  }
}

TEST_F(State, RandomNumbersGoOnWhereTheyWere) {
  auto state = TrainingState().random_state("random");
  torch::manual_seed(5);
  at::normal(0., 1., {3});  // an odd count leaves half of a pair in the generator
  save(state);
  auto draw = [] {
    return std::vector<at::Tensor>{at::normal(0., 1., {5}), at::randn({33}), at::randperm(50),
                                   at::dropout(at::ones({100}), 0.5, true)};
  };
  auto expected = draw();
  torch::manual_seed(77);
  load(state);
  auto found = draw();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(at::equal(expected[i], found[i])) << i;
  }
}

TEST_F(State, AGeneratorOfOnesOwnGoesOnWhereItWas) {
  auto saved = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{5});
  auto loaded = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{6});
  auto draw = [](at::Generator& generator) {
    return at::randn({9}, generator, at::TensorOptions(at::kFloat));
  };
  draw(saved);
  save(TrainingState().generator("augment", saved));
  auto expected = draw(saved);
  EXPECT_FALSE(at::equal(draw(loaded), expected)) << "this test proves nothing";
  load(TrainingState().generator("augment", loaded));
  EXPECT_TRUE(at::equal(draw(loaded), expected));
}

TEST_F(State, AStateOfAnotherLibraryIsBytes) {
  Value numpy = Value::Map{{"kind", "MT19937"}, {"key", Value::Bytes(2496, std::byte{7})}}, found;
  save(TrainingState().value("numpy", numpy));
  load(TrainingState().value("numpy", found));
  EXPECT_EQ(found, numpy);
}

std::vector<std::int64_t> as_vector(const at::Tensor& tensor) {
  const auto* data = tensor.data_ptr<std::int64_t>();
  return {data, data + tensor.numel()};
}

// Everything that `count` calls of next() give; -1 for an epoch's end.
std::vector<std::int64_t> draw(Sampler& sampler, int count) {
  std::vector<std::int64_t> all;
  for (int i = 0; i < count; ++i) {
    auto batch = sampler.next();
    auto values = batch ? as_vector(*batch) : std::vector<std::int64_t>{-1};
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

TEST_F(State, TheSamplerVisitsEverySampleOnceAnEpochInAnotherOrderEachTime) {
  Sampler sampler(10, 4, 42);
  auto first = draw(sampler, 3), end = draw(sampler, 1), second = draw(sampler, 3);
  EXPECT_EQ(end, std::vector<std::int64_t>{-1});
  EXPECT_TRUE(sampler.epoch_done());
  EXPECT_EQ(sampler.epoch(), 1);
  EXPECT_NE(first, second);
  for (auto* order : {&first, &second}) {
    std::sort(order->begin(), order->end());
    EXPECT_EQ(*order, (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }
  Sampler same(10, 4, 42), other(10, 4, 43);
  auto again = draw(same, 3);
  EXPECT_NE(again, draw(other, 3));
}

TEST_F(State, TheSamplerGoesOnFromEveryPosition) {
  for (int taken = 0; taken < 9; ++taken) {
    Sampler saved(10, 4, 42), loaded(10, 4, 7);
    draw(saved, taken);
    draw(loaded, 2);
    save(TrainingState().part("sampler", saved));
    load(TrainingState().part("sampler", loaded));
    EXPECT_EQ(loaded.epoch(), saved.epoch());
    EXPECT_EQ(loaded.position(), saved.position());
    EXPECT_EQ(draw(loaded, 11), draw(saved, 11)) << taken;
  }
}

TEST_F(State, TheSamplerLeavesTheDefaultGeneratorAlone) {
  torch::manual_seed(1);
  auto expected = at::rand({4});
  torch::manual_seed(1);
  Sampler sampler(100, 10, 3);
  draw(sampler, 25);
  EXPECT_TRUE(at::equal(at::rand({4}), expected));
}

TEST_F(State, ASamplerOfAnotherSizeIsRefused) {
  Sampler saved(10, 4, 1), loaded(12, 4, 1);
  save(TrainingState().part("sampler", saved));
  EXPECT_EQ(refuse(TrainingState().part("sampler", loaded)),
            "sampler: 12 samples here, 10 in the checkpoint; nothing was changed");
  EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument, [] { Sampler(0, 4, 1); }),
                       "size 0 and batch size 4"));
}

TEST_F(State, ProgressAndValuesComeBackBitForBit) {
  Progress saved, loaded;
  saved.epoch = 2;
  saved.count_step(64);
  saved.count_step(7);
  saved.means["train/loss"].add(0.1 + 0.2, 3);
  loaded.means["old"].add(1, 1);
  Value note = Value::Map{{"best", 0.25}, {"classes", Value::List{"a", "b"}}}, found;
  save(TrainingState().progress("progress", saved).value("note", note));
  auto report = load(TrainingState().progress("progress", loaded).value("note", found));
  EXPECT_EQ(loaded.epoch, 2);
  EXPECT_EQ(loaded.step, 2);
  EXPECT_EQ(loaded.batch, 2);
  EXPECT_EQ(loaded.samples, 71);
  ASSERT_EQ(loaded.means.size(), 1u);
  EXPECT_EQ(loaded.means["train/loss"].sum, 0.1 + 0.2);
  EXPECT_EQ(loaded.means["train/loss"].count, 3);
  EXPECT_EQ(found, note);
  EXPECT_EQ(report.restored, (std::vector<std::string>{"progress", "note"}));

  loaded.end_epoch();
  EXPECT_EQ(loaded.epoch, 3);
  EXPECT_EQ(loaded.batch, 0);
  EXPECT_TRUE(loaded.means.empty());
}

// A part as a user would write it.
class Average : public libtorch::Part {
 public:
  explicit Average(std::int64_t size) : weights(at::zeros({size})) {}
  void save(libtorch::PartWriter& out) const override {
    out.tensor("weights", weights);
    out.value("updates", updates);
  }
  void check(libtorch::PartReader& in) override {
    in.tensor("weights", weights);
    in.on_restore([this, count = in.value("updates").as_int()] { updates = count; });
  }
  at::Tensor weights;
  std::int64_t updates = 0;
};

TEST_F(State, APartOfOnesOwn) {
  Average saved(3), loaded(3), wrong(4);
  saved.weights.fill_(2);
  saved.updates = 9;
  save(TrainingState().part("ema", saved));
  load(TrainingState().part("ema", loaded));
  EXPECT_TRUE(at::equal(loaded.weights, saved.weights));
  EXPECT_EQ(loaded.updates, 9);
  EXPECT_EQ(refuse(TrainingState().part("ema", wrong)),
            "ema/weights: the ema has shape [4] float32, the checkpoint has shape [3] float32; "
            "nothing was changed");
  EXPECT_EQ(wrong.updates, 0);
}

TEST_F(State, OnePartThatDoesNotFitLeavesTheOthersAlone) {
  Progress saved, loaded;
  saved.epoch = 3;
  Average average(3), wrong(4);
  save(TrainingState().progress("progress", saved).part("zzz", average));
  refuse(TrainingState().progress("progress", loaded).part("zzz", wrong));
  EXPECT_EQ(loaded.epoch, 0);
}

TEST_F(State, PartsThatOnlyOneSideHas) {
  SmallNet net;
  Progress progress;
  Average average(2);
  save(TrainingState().model("model", net).part("ema", average));

  auto without = load(TrainingState().model("model", net));
  EXPECT_EQ(without.ignored, std::vector<std::string>{"ema/weights"});
  auto with = TrainingState().model("model", net).progress("progress", progress);
  EXPECT_EQ(refuse(with),
            "progress: the checkpoint has no such part; it has: ema, model; nothing was changed");
  auto report = load(with, /*strict=*/false);
  EXPECT_EQ(report.missing, std::vector<std::string>{"progress"});
  std::ostringstream text;
  text << report;
  EXPECT_EQ(text.str(), "restored: model (9 tensors); missing: progress; ignored: ema (1 tensor)");
}

TEST_F(State, DataNormalisationHasTwoNames) {
  Value saved = Value::Map{{"mean", 0.286}, {"std", 0.353}}, loaded, other;
  for (const auto& [written, read] :
       {std::pair{"normalization", "scaler_params"}, std::pair{"scaler_params", "normalization"}}) {
    loaded = Value();
    save(TrainingState().value(written, saved));
    const libtorch::RestoreReport report = load(TrainingState().value(read, loaded));
    EXPECT_EQ(loaded, saved);
    EXPECT_TRUE(report.missing.empty() && report.ignored.empty());
    EXPECT_EQ(report.restored, std::vector<std::string>{written});
    // Of a program that has both, each is its own.
    EXPECT_TRUE(contains(refuse(TrainingState().value(read, loaded).value(written, other)),
                         std::string(read) + ": the checkpoint has no such part"));
  }
}

TEST_F(State, NamesOfPartsAreChecked) {
  Progress progress;
  auto fail = [&](const std::string& first, const std::string& second) {
    return error_of(ErrorCode::invalid_argument,
                    [&] { TrainingState().progress(first, progress).progress(second, progress); });
  };
  EXPECT_TRUE(contains(fail("a", "a"), "two parts named \"a\""));
  EXPECT_TRUE(contains(fail("a", ""), "\"\" is no name for a part"));
  EXPECT_TRUE(contains(fail("a", "b/c"), "\"b/c\" is no name for a part"));
}

}  // namespace
}  // namespace ckp::test

// The resume certificate: what a checkpoint says about its program, and what a restore compares.
#include <nlohmann/json.hpp>
#include <sstream>

#include "ckp/certificate.h"
#include "ckp/libtorch/progress.h"
#include "ckp/libtorch/sampler.h"
#include "small_net.h"

namespace ckp::test {
namespace {

using libtorch::Difference;
using libtorch::Progress;
using libtorch::RestoreOptions;
using libtorch::RestoreReport;
using libtorch::TrainingState;

struct DropoutNetImpl : torch::nn::Module {
  explicit DropoutNetImpl(double p = 0.5) : drop(p), fc(3, 2) {
    register_module("drop", drop);
    register_module("fc", fc);
  }
  torch::nn::Dropout drop;
  torch::nn::Linear fc;
};
TORCH_MODULE(DropoutNet);

// What LibTorch prints as warnings meanwhile.
std::string warnings_of(const std::function<void()>& action) {
  ::testing::internal::CaptureStderr();
  action();
  return ::testing::internal::GetCapturedStderr();
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::string text_of(const RestoreReport& report) {
  std::ostringstream text;
  text << report;
  return text.str();
}

class Certificate : public ::testing::Test {
 protected:
  Certificate() { at::set_num_threads(1); }

  TrainingState state(SmallNet& net, torch::optim::Optimizer& optimizer) {
    return TrainingState().model("model", net).optimizer("optimizer", optimizer);
  }
  Value certificate() { return open_file(file_).values().at(std::string(certificate_part)); }

  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "state.ckp";
};

TEST_F(Certificate, NamesThePartsAndTheProgram) {
  SmallNet net;
  torch::optim::AdamW adam(net->parameters(), 1e-3);
  torch::optim::StepLR scheduler(adam, 2, 0.5);
  libtorch::Sampler sampler(10, 2, 1);
  Progress progress;
  libtorch::save_file(file_, state(net, adam)
                                 .scheduler("scheduler", scheduler)
                                 .part("sampler", sampler)
                                 .progress("progress", progress)
                                 .random_state("random")
                                 .fact("code", "4f2a"));
  const Value found = certificate();
  EXPECT_EQ(*found.find("parts"), Value(Value::Map{{"model", "model"},
                                                   {"optimizer", "optimizer (AdamW)"},
                                                   {"scheduler", "scheduler (StepLR)"},
                                                   {"sampler", "sampler"},
                                                   {"progress", "progress"},
                                                   {"random", "random_state"}}));
  const Value& facts = *found.find("facts");
  EXPECT_EQ(*facts.find("threads"), Value(1));
  EXPECT_EQ(*facts.find("world_size"), Value(1));
  EXPECT_EQ(*facts.find("rank"), Value(0));
  EXPECT_EQ(*facts.find("devices"), Value(Value::List{"cpu"}));
  EXPECT_EQ(*facts.find("deterministic_algorithms"), Value(false));
  EXPECT_EQ(*facts.find("code"), Value("4f2a"));
  EXPECT_EQ(*facts.find("libtorch"), Value(TORCH_VERSION));
  EXPECT_TRUE(contains(facts.find("library")->as_string(), "ckpstore "));
  EXPECT_TRUE(contains(facts.find("command_line")->as_string(), "_tests"));
  EXPECT_EQ(*found.find("warnings"), Value(Value::List{}));
}

TEST_F(Certificate, ItsNameIsTaken) {
  Progress progress;
  EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument,
                                [&] { TrainingState().progress("certificate", progress); }),
                       "name of the resume certificate"));
}

TEST_F(Certificate, DropoutWithoutRandomStateIsWarnedAboutOnce) {
  DropoutNet net;
  torch::optim::SGD sgd(net->parameters(), 0.1);
  auto state = TrainingState().model("model", net).optimizer("optimizer", sgd);
  const std::string warnings = warnings_of([&] {
    libtorch::save_file(file_, state);
    libtorch::save_file(file_, TrainingState(state));  // a copy is no other state
  });
  EXPECT_EQ(count(warnings, "model/drop drops at random"), 1u) << warnings;
  const Value::List listed = certificate().find("warnings")->as_list();
  ASSERT_EQ(listed.size(), 1u);  // in every checkpoint
  EXPECT_TRUE(contains(warnings, listed[0].as_string()));
}

TEST_F(Certificate, HalfPrecisionWithoutAScalerIsWarnedAbout) {
  SmallNet net;
  net->to(torch::kHalf);
  torch::optim::SGD sgd(net->parameters(), 0.1);
  EXPECT_TRUE(contains(warnings_of([&] { libtorch::save_file(file_, state(net, sgd)); }),
                       "no gradient scaler"));
}

TEST_F(Certificate, ALearningRateThatMovesWithoutASchedulerIsWarnedAboutOnce) {
  SmallNet net;
  torch::optim::SGD sgd(net->parameters(), 0.1);
  torch::optim::StepLR scheduler(sgd, 1, 0.5);
  auto without = state(net, sgd), with = state(net, sgd).scheduler("scheduler", scheduler);
  const std::string still = warnings_of([&] { libtorch::save_file(file_, without); });
  EXPECT_EQ(still, "");
  scheduler.step();
  EXPECT_EQ(warnings_of([&] { libtorch::save_file(file_, with); }), "");
  const std::string warnings = warnings_of([&] {
    libtorch::save_file(file_, without);
    scheduler.step();
    libtorch::save_file(file_, without);
  });
  EXPECT_EQ(count(warnings, "optimizer/0/lr has moved from 0.1 to "), 1u) << warnings;
  EXPECT_TRUE(contains(warnings, "the state has no scheduler"));
  EXPECT_EQ(certificate().find("warnings")->as_list().size(), 1u);
}

TEST_F(Certificate, NothingIsWarnedAboutWithoutReason) {
  DropoutNet net, off(0.);
  torch::optim::SGD sgd(net->parameters(), 0.1), other(off->parameters(), 0.1);
  SmallNet plain;
  torch::optim::SGD third(plain->parameters(), 0.1);
  auto trained = TrainingState().model("model", net).optimizer("optimizer", sgd);
  const std::string warnings = warnings_of([&] {
    libtorch::save_file(file_, *net);  // weights alone: nobody resumes from them
    libtorch::save_file(file_, trained.random_state("random"));
    libtorch::save_file(file_, TrainingState().model("model", off).optimizer("optimizer", other));
    libtorch::save_file(file_, state(plain, third));
  });
  EXPECT_EQ(warnings, "");
}

TEST_F(Certificate, OptionsThatTheProgramSetsDifferentlyAreTold) {
  SmallNet net;
  torch::optim::AdamW saved(net->parameters(), torch::optim::AdamWOptions(1e-3).weight_decay(0.1));
  libtorch::save_file(file_, state(net, saved));
  torch::optim::AdamW loaded(net->parameters(), torch::optim::AdamWOptions(1e-4).weight_decay(0.1));
  const auto report = libtorch::load_file(file_, state(net, loaded));
  ASSERT_EQ(report.differences.size(), 1u);
  EXPECT_TRUE(contains(text_of(report),
                       "\n  optimizer/0/lr: program 0.0001, checkpoint 0.001, kept 0.001"));
  EXPECT_FALSE(report.exact());
  EXPECT_EQ(loaded.param_groups()[0].options().get_lr(), 1e-3);
}

TEST_F(Certificate, WhatASchedulerHasMovedIsNoDifference) {
  SmallNet net;
  torch::optim::SGD saved(net->parameters(), 0.1), loaded(net->parameters(), 0.1);
  auto before = state(net, saved);
  saved.param_groups()[0].options().set_lr(0.05);
  libtorch::save_file(file_, before);
  auto report = libtorch::load_file(file_, state(net, loaded));
  EXPECT_TRUE(report.differences.empty()) << text_of(report);
  EXPECT_EQ(loaded.param_groups()[0].options().get_lr(), 0.05);
}

TEST_F(Certificate, WhatWasKeptOnceIsNoDifferenceTheNextTime) {
  SmallNet net;
  torch::optim::SGD first(net->parameters(), 0.1), second(net->parameters(), 0.2),
      third(net->parameters(), 0.1);
  libtorch::save_file(file_, state(net, first));
  auto resumed = state(net, second);
  EXPECT_EQ(libtorch::load_file(file_, resumed).differences.size(), 1u);
  libtorch::save_file(file_, resumed);
  EXPECT_TRUE(libtorch::load_file(file_, state(net, third)).differences.empty());
}

TEST_F(Certificate, KeepConstructedTakesTheProgramsOption) {
  SmallNet net;
  torch::optim::SGD saved(net->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9)),
      loaded(net->parameters(), torch::optim::SGDOptions(0.5).momentum(0.8));
  libtorch::save_file(file_, state(net, saved));
  RestoreOptions options;
  options.keep_constructed = {"optimizer/*/lr"};
  const auto report = libtorch::load_file(file_, state(net, loaded), options);
  EXPECT_TRUE(contains(text_of(report), "optimizer/0/lr: program 0.5, checkpoint 0.1, kept 0.5"));
  EXPECT_TRUE(
      contains(text_of(report), "optimizer/0/momentum: program 0.8, checkpoint 0.9, kept 0.9"));
  const auto& found = static_cast<torch::optim::SGDOptions&>(loaded.param_groups()[0].options());
  EXPECT_EQ(found.lr(), 0.5);
  EXPECT_EQ(found.momentum(), 0.9);
}

TEST_F(Certificate, OtherSurroundingsAreTold) {
  SmallNet net;
  torch::optim::SGD sgd(net->parameters(), 0.1);
  libtorch::save_file(file_, state(net, sgd).fact("batch_size", 32));
  at::set_num_threads(2);
  const auto report = libtorch::load_file(file_, state(net, sgd).fact("batch_size", 64));
  at::set_num_threads(1);
  EXPECT_TRUE(contains(text_of(report), "\n  threads: program 2, checkpoint 1, kept 2"));
  EXPECT_TRUE(contains(text_of(report), "\n  batch_size: program 64, checkpoint 32, kept 64"));
  EXPECT_FALSE(report.exact());
}

TEST_F(Certificate, ExactRefusesBeforeAnythingChanges) {
  SmallNet net, other;
  Progress progress;
  torch::optim::SGD saved(net->parameters(), 0.1), differs(other->parameters(), 0.2),
      same(other->parameters(), 0.1);
  libtorch::save_file(file_, state(net, saved).progress("progress", progress));
  const std::string before = digest(other);
  RestoreOptions exact;
  exact.exact = true;
  auto refuse = [&](const TrainingState& wanted) {
    return error_of(ErrorCode::mismatch, [&] { libtorch::load_file(file_, wanted, exact); });
  };
  EXPECT_TRUE(contains(refuse(state(other, differs).progress("progress", progress)),
                       "optimizer/0/lr: program 0.2, checkpoint 0.1"));
  EXPECT_TRUE(contains(refuse(state(other, same)), "ignored: progress"));
  exact.strict = false;
  Progress more;
  EXPECT_TRUE(
      contains(refuse(state(other, same).progress("progress", progress).progress("more", more)),
               "missing: more"));
  EXPECT_EQ(digest(other), before);
  const auto report =
      libtorch::load_file(file_, state(other, same).progress("progress", progress), exact);
  EXPECT_TRUE(report.exact());
  EXPECT_EQ(digest(other), digest(net));
}

TEST_F(Certificate, ExactRefusesACheckpointFromInsideAStep) {
  SmallNet net;
  torch::optim::SGD sgd(net->parameters(), 0.1);
  SaveOptions options;
  options.tags[std::string(mid_step_tag)] = "an exception ended the step";
  libtorch::save_file(file_, state(net, sgd), options);
  libtorch::load_file(file_, state(net, sgd));  // not asked to be exact
  EXPECT_TRUE(contains(error_of(ErrorCode::mismatch,
                                [&] {
                                  RestoreOptions exact;
                                  exact.exact = true;
                                  libtorch::load_file(file_, state(net, sgd), exact);
                                }),
                       "saved inside a training step"));
}

TEST_F(Certificate, CheckSaysWhatRestoreWouldDo) {
  SmallNet net, other;
  torch::optim::SGD saved(net->parameters(), 0.1), loaded(other->parameters(), 0.2);
  libtorch::save_file(file_, state(net, saved));
  const std::string before = digest(other);
  auto wanted = state(other, loaded);
  const std::string checked = text_of(wanted.check(open_file(file_)));
  EXPECT_EQ(digest(other), before);
  EXPECT_EQ(loaded.param_groups()[0].options().get_lr(), 0.2);
  EXPECT_EQ(text_of(wanted.restore(open_file(file_))), checked);
}

TEST_F(Certificate, TheReportAsJson) {
  RestoreReport report;
  report.restored = {"model/weight", "progress"};
  report.missing = {"ema"};
  report.converted = {"sampler: batch size 32 in the checkpoint, 64 here"};
  report.differences = {
      {"optimizer/0/lr", 1e-4, 1e-3, Difference::Kept::checkpoint},
      {"devices", Value::List{"cpu"}, Value::List{"cuda:0"}, Difference::Kept::program},
      {"command_line", "a --resume", "a", Difference::Kept::program, false}};
  const auto json = nlohmann::json::parse(to_json(report));
  EXPECT_EQ(json.at("exact"), false);
  EXPECT_EQ(json.at("restored"), (nlohmann::json{"model/weight", "progress"}));
  EXPECT_EQ(json.at("missing"), nlohmann::json{"ema"});
  EXPECT_EQ(json.at("ignored"), nlohmann::json::array());
  EXPECT_EQ(json.at("converted").size(), 1u);
  EXPECT_EQ(json.at("differences").at(0), (nlohmann::json{{"name", "optimizer/0/lr"},
                                                          {"program", 1e-4},
                                                          {"checkpoint", 1e-3},
                                                          {"kept", "checkpoint"},
                                                          {"changes_results", true}}));
  EXPECT_EQ(json.at("differences").at(1).at("program"), nlohmann::json{"cpu"});
  EXPECT_EQ(json.at("differences").at(2).at("kept"), "program");
  EXPECT_EQ(text_of(report),
            "restored: model (1 tensor), progress; missing: ema; ignored: none\n"
            "  converted: sampler: batch size 32 in the checkpoint, 64 here\n"
            "  optimizer/0/lr: program 0.0001, checkpoint 0.001, kept 0.001\n"
            "  devices: program [\"cpu\"], checkpoint [\"cuda:0\"], kept [\"cpu\"]\n"
            "  command_line: program a --resume, checkpoint a, kept a --resume");
}

TEST_F(Certificate, OnlyDifferencesThatChangeResultsSpoilExactness) {
  RestoreReport report;
  EXPECT_TRUE(report.exact());
  report.differences = {{"command_line", "a", "b", Difference::Kept::program, false}};
  EXPECT_TRUE(report.exact());
  report.differences[0].changes_results = true;
  EXPECT_FALSE(report.exact());
}

}  // namespace
}  // namespace ckp::test

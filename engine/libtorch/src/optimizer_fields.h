// The fields of LibTorch's optimizers: one list for each class of options and of per-parameter
// state. `visit(object, field)` calls field(name, member) for each. The library's own serializers
// match by position and forget the learning rate in some versions, hence these.
#pragma once

#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <concepts>
#include <type_traits>

namespace ckp::libtorch {

// T is one of Types, const or not.
template <class T, class... Types>
concept AnyOf = (std::same_as<std::remove_const_t<T>, Types> || ...);

template <AnyOf<torch::optim::SGDOptions> T, class Field>
void visit(T& options, Field&& field) {
  field("lr", options.lr());
  field("momentum", options.momentum());
  field("dampening", options.dampening());
  field("weight_decay", options.weight_decay());
  field("nesterov", options.nesterov());
}

template <AnyOf<torch::optim::AdamOptions, torch::optim::AdamWOptions> T, class Field>
void visit(T& options, Field&& field) {
  field("lr", options.lr());
  field("betas", options.betas());
  field("eps", options.eps());
  field("weight_decay", options.weight_decay());
  field("amsgrad", options.amsgrad());
}

template <AnyOf<torch::optim::AdagradOptions> T, class Field>
void visit(T& options, Field&& field) {
  field("lr", options.lr());
  field("lr_decay", options.lr_decay());
  field("weight_decay", options.weight_decay());
  field("initial_accumulator_value", options.initial_accumulator_value());
  field("eps", options.eps());
}

template <AnyOf<torch::optim::RMSpropOptions> T, class Field>
void visit(T& options, Field&& field) {
  field("lr", options.lr());
  field("alpha", options.alpha());
  field("eps", options.eps());
  field("weight_decay", options.weight_decay());
  field("momentum", options.momentum());
  field("centered", options.centered());
}

template <AnyOf<torch::optim::LBFGSOptions> T, class Field>
void visit(T& options, Field&& field) {
  field("lr", options.lr());
  field("max_iter", options.max_iter());
  field("max_eval", options.max_eval());
  field("tolerance_grad", options.tolerance_grad());
  field("tolerance_change", options.tolerance_change());
  field("history_size", options.history_size());
  field("line_search_fn", options.line_search_fn());
}

template <AnyOf<torch::optim::SGDParamState> T, class Field>
void visit(T& state, Field&& field) {
  field("momentum_buffer", state.momentum_buffer());
}

template <AnyOf<torch::optim::AdamParamState, torch::optim::AdamWParamState> T, class Field>
void visit(T& state, Field&& field) {
  field("step", state.step());
  field("exp_avg", state.exp_avg());
  field("exp_avg_sq", state.exp_avg_sq());
  field("max_exp_avg_sq", state.max_exp_avg_sq());
}

template <AnyOf<torch::optim::AdagradParamState> T, class Field>
void visit(T& state, Field&& field) {
  field("step", state.step());
  field("sum", state.sum());
}

template <AnyOf<torch::optim::RMSpropParamState> T, class Field>
void visit(T& state, Field&& field) {
  field("step", state.step());
  field("square_avg", state.square_avg());
  field("momentum_buffer", state.momentum_buffer());
  field("grad_avg", state.grad_avg());
}

// `al` is scratch of one step.
template <AnyOf<torch::optim::LBFGSParamState> T, class Field>
void visit(T& state, Field&& field) {
  field("func_evals", state.func_evals());
  field("n_iter", state.n_iter());
  field("t", state.t());
  field("prev_loss", state.prev_loss());
  field("d", state.d());
  field("H_diag", state.H_diag());
  field("prev_flat_grad", state.prev_flat_grad());
  field("old_dirs", state.old_dirs());
  field("old_stps", state.old_stps());
  field("ro", state.ro());
}

}  // namespace ckp::libtorch

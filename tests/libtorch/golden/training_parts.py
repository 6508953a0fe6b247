"""Learning rates, loss scales and averages as PyTorch computes them: the numbers that
lr_scheduler_golden_test.cc, grad_scaler_test.cc and swa_test.cc compare ours with.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch==2.15.0
    /tmp/venv/bin/python tests/libtorch/golden/training_parts.py > tests/libtorch/golden/training_parts.json

Each case takes 1,000 steps on two groups. Of each group it keeps the rate at every 10th step from
step 0 on, and the sum of t * rate over all steps, which moves when any single rate does.
"""
import json

import torch
from torch.optim import lr_scheduler as lr
from torch.optim import swa_utils as swa

STEPS = 1000


def optimizer(kind):
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [weights[0]], "lr": 0.1}, {"params": [weights[1]], "lr": 0.003}]
    return torch.optim.Adam(groups) if kind == "Adam" else torch.optim.SGD(groups, momentum=0.5)


def metric(t):
    return 1 / (1 + t // 40) + (t * 7919 % 101) / 1000


def record(make, kind="SGD", plateau=False, switch=None):
    """`switch`: the step after which the second scheduler takes over from the first."""
    opt = optimizer(kind)
    made = make(opt)
    schedulers = made if isinstance(made, list) else [made]
    rates, sums, momentum = [], [0.0, 0.0], []
    for t in range(STEPS + 1):
        if t > 0:
            opt.step()
            turn = slice(None) if switch is None else slice(t > switch, (t > switch) + 1)
            for scheduler in schedulers[turn]:
                scheduler.step(metric(t)) if plateau else scheduler.step()
        for g, group in enumerate(opt.param_groups):
            sums[g] += t * group["lr"]
        if t % 10 == 0:
            rates.append([group["lr"] for group in opt.param_groups])
            group = opt.param_groups[0]
            momentum.append(group["betas"][0] if "betas" in group else group["momentum"])
    result = {"lr": rates, "sum": sums}
    if len(set(momentum)) > 1:
        result["momentum"] = momentum
    return result


def sequence(opt):
    return lr.SequentialLR(opt, [lr.LinearLR(opt, 0.01, total_iters=100),
                                 lr.CosineAnnealingLR(opt, 700, 1e-4),
                                 lr.ExponentialLR(opt, 0.99)], [100, 800])


def averaged_model():
    model = torch.nn.Linear(8, 1, bias=False)
    average = swa.AveragedModel(model)
    values = []
    for n in range(40):
        with torch.no_grad():
            model.weight.copy_(torch.tensor([[(i * 7 + n * 13) % 23 / 7 for i in range(8)]]))
        average.update_parameters(model)
        values.append(average.module.weight[0].tolist())
    return values


def statistics():
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5)).eval()
    rows = torch.tensor([[(j * 5 + k * 11) % 17 / 4 for k in range(3)] for j in range(10)])
    swa.update_bn(rows.split([4, 4, 2]), model)
    return {name: value.reshape(-1).tolist() for name, value in model[0].named_buffers()}


def scale():
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=20)
    weight = torch.nn.Parameter(torch.ones(2))
    opt = torch.optim.SGD([weight], lr=1e-3)
    scales, trackers = [], []
    for t in range(STEPS):
        opt.zero_grad()
        loss = (weight * (float("inf") if t % 97 == 13 else 1.0)).sum()
        scaler.scale(loss).backward()
        scaler.step(opt)
        scaler.update()
        scales.append(scaler.get_scale())
        trackers.append(scaler.state_dict()["_growth_tracker"])
    return {"scale": scales, "_growth_tracker": trackers}


CASES = {
    "cosine": record(lambda o: lr.CosineAnnealingLR(o, 50, 1e-4)),
    "cosine_once": record(lambda o: lr.CosineAnnealingLR(o, 1000)),
    "restarts": record(lambda o: lr.CosineAnnealingWarmRestarts(o, 10, 2, 1e-5)),
    "restarts_equal": record(lambda o: lr.CosineAnnealingWarmRestarts(o, 30)),
    "multi_step": record(lambda o: lr.MultiStepLR(o, [30, 80, 80, 503], 0.3)),
    "exponential": record(lambda o: lr.ExponentialLR(o, 0.995)),
    "one_cycle": record(lambda o: lr.OneCycleLR(o, 0.4, STEPS)),
    "one_cycle_three_phase": record(
        lambda o: lr.OneCycleLR(o, 0.4, STEPS, pct_start=0.25, anneal_strategy="linear",
                                three_phase=True), "Adam"),
    "warmup": record(lambda o: lr.LinearLR(o, 0.1, total_iters=37)),
    "sequential": record(sequence),
    "chained": record(lambda o: [lr.ExponentialLR(o, 0.999), lr.MultiStepLR(o, [500], 0.1)]),
    "swa": record(lambda o: swa.SWALR(o, 0.05, anneal_epochs=300)),
    "swa_linear": record(
        lambda o: swa.SWALR(o, [0.02, 0.001], anneal_epochs=700, anneal_strategy="linear")),
    "swa_at_once": record(lambda o: swa.SWALR(o, 0.01, anneal_epochs=0)),
    "swa_later": record(
        lambda o: [lr.ExponentialLR(o, 0.999), swa.SWALR(o, 0.05, anneal_epochs=100)], switch=400),
    "swa_sequential": record(
        lambda o: lr.SequentialLR(o, [lr.ExponentialLR(o, 0.99), swa.SWALR(o, 0.05, 50)], [300])),
    "plateau": record(lambda o: lr.ReduceLROnPlateau(o, factor=0.5, patience=25), plateau=True),
    "plateau_max": record(
        lambda o: lr.ReduceLROnPlateau(o, mode="max", factor=0.7, patience=40, threshold=0.01,
                                       threshold_mode="abs", cooldown=20, min_lr=1e-3),
        plateau=True),
}

print(json.dumps({"torch": torch.__version__.split("+")[0], "schedulers": CASES,
                  "grad_scaler": scale(), "averaged_model": averaged_model(),
                  "update_bn": statistics()}))

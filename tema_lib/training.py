"""One training loop for every system (notebook 04).

AdamW with linear warm-up and decay, early stopping on the validation MRR (mean of both domains, one epoch for both),
a checkpoint every epoch: an interrupted run goes on where it stopped and ends with the same numbers.  On a GPU that can, in bfloat16.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from tqdm.auto import tqdm

from tema_lib.checkpoints import OtherCheckpoint, identity, read_checkpoint, write_checkpoint  # noqa: F401
from tema_lib.data.batches import Batch, training_batches
from tema_lib.data.splits import Split
from tema_lib.evaluation.protocols import Protocol
from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.base import Recommender


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to learn.  The paper states none of it; all values are ours.

    How many events of a history are read is the model's own affair (`Recommender.max_length`).  Raises ValueError for what cannot be.
    """

    epochs: int = 30
    learning_rate: float = 3e-3  # ours; 1e-3 (C2DSR), 1e-4 (ABXI)
    weight_decay: float = 0.01
    batch_size: int = 64
    warm_up: float = 0.1  # share of all steps
    patience: int = 5  # epochs without a better validation MRR
    clip: float = 5.0  # gradient norm; 0: not clipped
    window: int = 16  # so many batches' users are sorted by length together; 1: random batches
    precision: str = (
        "auto"  # "float32"; "bfloat16": autocast; "auto": bfloat16 on a GPU, float32 elsewhere
    )
    seed: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch_size", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1.")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate}: give a number above 0.")
        for name in ("weight_decay", "patience", "clip"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give 0 or more.")
        if not 0 <= self.warm_up <= 1:
            raise ValueError(f"warm_up is {self.warm_up}: give a share of all steps, from 0 to 1.")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}: choose auto, float32 or bfloat16.")


@dataclass
class TrainingHistory:
    """What happened, one entry an epoch; `best` is the epoch whose weights were kept (-1: nothing to train)."""

    loss: dict[str, list[float]] = field(default_factory=dict)
    valid_mrr: list[dict[str, float]] = field(
        default_factory=list
    )  # {"A": ..., "B": ..., "mean": ...}
    seconds: list[float] = field(default_factory=list)
    best: int = -1
    trained_on: str = ""  # device and precision, such as "cpu float32"

    @property
    def epochs(self) -> int:
        return len(self.seconds)


def best_device() -> torch.device:
    """Where models are trained: $TEMA_DEVICE, else a GPU that torch can use, else the processor.  Raises ValueError for what is not there."""
    asked = os.environ.get("TEMA_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=asked).device
    except (
        RuntimeError,
        AssertionError,
    ):  # a word that torch does not know, or a device that it cannot reach
        raise ValueError(
            f"TEMA_DEVICE is {asked!r}, which torch cannot use here: leave it out, or write cpu."
        ) from None


def training_step(
    model: Recommender,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    *,
    clip: float = 0.0,
    precision: str = "float32",
) -> dict[str, torch.Tensor]:
    """Forward, backward, clip, update; returns the loss terms, still on the model's device, so that nothing waits for them."""
    with torch.autocast(
        batch.sequence.device.type, torch.bfloat16, enabled=precision == "bfloat16"
    ):
        terms = model.loss(batch)
    optimizer.zero_grad(set_to_none=True)
    model.total_loss(terms).backward()
    if clip:
        torch.nn.utils.clip_grad_norm_(
            [parameter for group in optimizer.param_groups for parameter in group["params"]], clip
        )
    optimizer.step()
    return {name: term.detach() for name, term in terms.items()}


def train(
    model: Recommender,
    split: Split,
    domain_of_item: torch.Tensor,
    config: TrainConfig = TrainConfig(),
    *,
    checkpoint: Path | None = None,
    progress: str | None = None,
) -> TrainingHistory:
    """Fit `model` in place and leave it at its best epoch, in evaluation mode.

    `checkpoint`: a file written after every epoch and used to resume (`checkpoints`).  A finished training is taken from it whatever
    device it ran on.  Where no training sequence has two events, nothing can be learned: a warning, and `best` stays -1.
    Raises OtherCheckpoint for a damaged file or one of another training, FloatingPointError when the loss stops being finite.
    """
    torch.manual_seed(config.seed)
    model.fit_statistics(split.train)
    history = TrainingHistory()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    usable = int((split.train.lengths >= 2).sum())
    if parameters and not usable:
        warnings.warn(
            f"{progress or 'model'}: no training sequence has two events, so nothing is learned and the first weights stay. "
            "A user needs at least four events.",
            stacklevel=2,
        )
    if not parameters or not usable:
        model.eval()
        return history
    device = parameters[0].device
    short = device.type == "cuda" and torch.cuda.is_bf16_supported()
    precision = (
        ("bfloat16" if short else "float32") if config.precision == "auto" else config.precision
    )
    history.trained_on = here = f"{device.type} {precision}"
    domain_of_item = domain_of_item.cpu()
    steps = -(-usable // config.batch_size) * config.epochs
    warm = max(1, int(config.warm_up * steps))
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm))),
    )
    order = torch.Generator().manual_seed(config.seed)
    best_state, best_mrr, start = None, -1.0, 0
    mine = identity(model, split, config)

    if checkpoint is not None and checkpoint.exists():
        saved = read_checkpoint(checkpoint, mine)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        order.set_state(saved["order"])
        _set_random(saved["random"], device)
        history, best_state, best_mrr, start = (
            TrainingHistory(**saved["history"]),
            saved["best_state"],
            saved["best_mrr"],
            saved["epoch"] + 1,
        )

    bar = tqdm(
        range(start, config.epochs),
        initial=start,
        total=config.epochs,
        desc=progress,
        unit="epoch",
        leave=False,
        disable=progress is None,
    )
    for epoch in bar:
        if epoch - history.best > config.patience and epoch > 0:
            break
        if not history.trained_on.endswith(here):
            history.trained_on += f", then {here}"
        clock, sums, count = time.perf_counter(), {}, 0
        model.train()
        for batch in training_batches(
            split.train,
            domain_of_item,
            max_length=model.max_length,
            batch_size=config.batch_size,
            generator=order,
            window=config.window,
        ):
            targets = int(
                (batch.targets > 0).sum()
            )  # a term is a mean over the targets of its batch
            terms = training_step(
                model, batch.to(device), optimizer, clip=config.clip, precision=precision
            )
            schedule.step()
            count += targets
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term * targets
        for name, total in sums.items():
            history.loss.setdefault(name, []).append(float(total) / count)
            if not math.isfinite(float(total)):
                raise FloatingPointError(
                    f"the loss is no longer a number in epoch {epoch}: look for damaged features (delete build/cache and run again), "
                    "or lower learning_rate in TrainConfig (tema_lib/training.py)."
                )
        ranks = evaluate(model, split.valid, domain_of_item, protocol=Protocol(negatives=0))
        mrr = {domain: ranks.of_domain(index).metric("MRR") for index, domain in enumerate("AB")}
        there = [
            value for value in mrr.values() if not math.isnan(value)
        ]  # a domain without validation cases has no say
        mrr["mean"] = sum(there) / len(there)
        history.valid_mrr.append(mrr)
        history.seconds.append(time.perf_counter() - clock)
        if mrr["mean"] > best_mrr:
            best_mrr, history.best = mrr["mean"], epoch
            best_state = {
                name: tensor.detach().clone() for name, tensor in model.state_dict().items()
            }
        bar.set_postfix(
            {name: f"{values[-1]:.3f}" for name, values in history.loss.items()}
            | {"valid_MRR": f"{mrr['mean']:.4f}"}
        )
        if checkpoint is not None:
            write_checkpoint(
                checkpoint,
                {
                    "identity": mine,
                    "epoch": epoch,
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                    "order": order.get_state(),
                    "random": _random(device),
                    "history": asdict(history),
                    "best_state": best_state,
                    "best_mrr": best_mrr,
                },
            )
    model.load_state_dict(best_state)
    model.eval()
    return history


def _random(device: torch.device) -> list[torch.Tensor]:
    """The states of the generators that dropout and negatives draw from."""
    return [torch.get_rng_state()] + (
        [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    )


def _set_random(states: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:  # a file from a processor has one state only
        torch.cuda.set_rng_state(states[1], device)

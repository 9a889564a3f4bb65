"""One training loop for every system (notebook 04).

AdamW with linear warm-up and decay, early stopping on the validation MRR (mean of both domains, the
same epoch for both), and a checkpoint every epoch: an interrupted training resumes and ends with
the same numbers.  On a GPU that supports bfloat16, training uses it.
"""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from tema_lib import distributed
from tema_lib.checkpoints import identity, read_checkpoint, write_checkpoint
from tema_lib.data.batches import Batch, training_batches
from tema_lib.data.sequences import Sequences
from tema_lib.data.splits import Split
from tema_lib.evaluation.protocols import Protocol
from tema_lib.evaluation.ranking import evaluate
from tema_lib.models.base import Recommender


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to learn.  The paper states none of it; all values are ours.

    How many events of a history are read is up to the model (`Recommender.max_length`).

    Raises:
        ValueError: in one sentence, for a value out of range.
    """

    epochs: int = 30
    learning_rate: float = 3e-3  # ours; 1e-3 (C2DSR), 1e-4 (ABXI)
    weight_decay: float = 0.1
    batch_size: int = 64  # users, on average
    warm_up: float = 0.1  # share of all steps
    patience: int = 5  # epochs without a better validation MRR
    clip: float = 5.0  # gradient norm; 0: not clipped
    window: int = 16  # sequences of so many batches are sorted by length together; 1: not sorted
    precision: str = "auto"  # "float32", "bfloat16" (autocast), "auto": bfloat16 on a GPU only
    seed: int = 0

    def __post_init__(self) -> None:
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
    """What happened, one entry an epoch."""

    loss: dict[str, list[float]] = field(default_factory=dict)  # by term
    valid_mrr: list[dict[str, float]] = field(default_factory=list)  # {"A": , "B": , "mean": }
    seconds: list[float] = field(default_factory=list)
    best: int = -1  # the epoch whose weights were kept; -1: nothing was trained
    trained_on: str = ""  # device and precision, such as "cpu float32"

    @property
    def epochs(self) -> int:
        """How many epochs were run."""
        return len(self.seconds)


def precision_on(device: torch.device, asked: str) -> str:
    """ "float32" or "bfloat16", which "auto" means on a GPU that supports it."""
    if asked != "auto":
        return asked
    supported = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return "bfloat16" if supported else "float32"


def training_step(
    model: Recommender,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    *,
    clip: float = 0.0,
    precision: str = "float32",
    share: float = 1.0,
) -> dict[str, Tensor]:
    """Forward, backward, clip, update.

    Args:
        share: of the targets of the whole batch, those that this process has (`distributed`).  The
            losses are means over targets, so that the sum of the weighted ones is that of all.

    Returns:
        The loss terms as scalars on the model's device, so that nothing waits for them.
    """
    device = batch.sequence.device.type
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    terms: dict[str, Tensor] = {}
    if share:  # else this process has nothing of a small batch
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            terms = model.loss(batch)
        (share * model.total_loss(terms)).backward()
    if distributed.count() > 1:
        distributed.sum_gradients(parameters)
    if clip:
        torch.nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return {name: term.detach() for name, term in terms.items()}


def validation_mrr(
    model: Recommender, sequences: Sequences, domain_of_item: Tensor
) -> dict[str, float]:
    """Full-ranking MRR in A and in B (NaN without cases), and the mean of those with cases."""
    ranks = evaluate(model, sequences, domain_of_item, protocol=Protocol(negatives=0))
    mrr = {domain: ranks.of_domain(index).metric("MRR") for index, domain in enumerate("AB")}
    known = [value for value in mrr.values() if not math.isnan(value)]
    return mrr | {"mean": sum(known) / len(known)}


def train(
    model: Recommender,
    split: Split,
    domain_of_item: Tensor,
    config: TrainConfig = TrainConfig(),
    *,
    checkpoint: Path | None = None,
    progress: str | None = None,
) -> TrainingHistory:
    """Fit `model` in place and leave it at its best epoch, in evaluation mode.

    If no training sequence has two events, nothing can be learned: a warning is given, and `best`
    stays -1.

    Args:
        model: a fresh model.
        split: training and validation part are read.
        domain_of_item: int64 [N+1].
        config: how long and how fast to learn.
        checkpoint: a file that is written after every epoch and used to resume (`checkpoints`).  A
            finished training is taken from it, whichever device it ran on.
        progress: what to call the progress bar; None for no bar.

    Raises:
        OtherCheckpoint: for a damaged file or one of another training.
        FloatingPointError: when the loss is no longer finite.
    """
    torch.manual_seed(config.seed)
    known = identity(model, split, config)  # of the fresh model, as its caller knows it
    model.fit_statistics(split.train)
    history = TrainingHistory()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    usable = int((split.train.lengths >= 2).sum())
    if parameters and not usable:
        warnings.warn(
            f"{progress or 'model'}: no training sequence has two events, so nothing is learned "
            "and the initial weights stay. A user needs at least four events.",
            stacklevel=2,
        )
    if not parameters or not usable:
        model.eval()
        return history

    device = parameters[0].device
    precision = precision_on(device, config.precision)
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
    best_state: dict[str, Tensor] = {}
    best_mrr, start = -1.0, 0

    def kept() -> dict[str, Any] | None:
        return read_checkpoint(checkpoint, known) if checkpoint and checkpoint.exists() else None

    if saved := distributed.from_first(kept):
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        order.set_state(saved["order"])
        _set_random(saved["random"], device)
        history = TrainingHistory(**saved["history"])
        best_state, best_mrr = saved["best_state"], saved["best_mrr"]
        start = saved["epoch"] + 1

    bar = tqdm(
        range(start, config.epochs),
        initial=start,
        total=config.epochs,
        desc=progress,
        unit="epoch",
        leave=False,
        disable=progress is None or distributed.rank() > 0,
    )
    for epoch in bar:
        if epoch - history.best > config.patience and epoch > 0:
            bar.total = epoch  # a notebook would show a bar that falls short as an error
            break
        if not history.trained_on.endswith(here):
            history.trained_on += f", then {here}"
        clock = time.perf_counter()
        sums: dict[str, Tensor | float] = {}
        count = 0
        model.train()
        if distributed.rank():  # its own dropout, the same after a pause as without one
            torch.manual_seed(config.seed + 1_000_003 * distributed.rank() + epoch)
        for batch in training_batches(
            split.train,
            domain_of_item,
            max_length=model.max_length,
            batch_size=config.batch_size,
            generator=order,
            window=config.window,
        ):
            assert batch.targets is not None  # a training batch
            targets = int((batch.targets > 0).sum())  # a term is a mean over these
            mine = batch.each(distributed.share)
            own = int((distributed.share(batch.targets) > 0).sum())
            terms = training_step(
                model,
                mine.to(device),
                optimizer,
                clip=config.clip,
                precision=precision,
                share=own / targets,
            )
            schedule.step()
            count += targets
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term * own
        of_all: Counter[str] = Counter()
        for of_one in distributed.gathered([{name: float(total) for name, total in sums.items()}]):
            of_all.update(of_one)
        for name, total in of_all.items():
            history.loss.setdefault(name, []).append(total / count)
            if not math.isfinite(total):
                raise FloatingPointError(
                    f"the loss is no longer a number in epoch {epoch}: look for damaged features "
                    "(delete build/cache and run again), or lower learning_rate in TrainConfig "
                    "(tema_lib/training.py)."
                )
        mrr = validation_mrr(model, split.valid, domain_of_item)
        history.valid_mrr.append(mrr)
        history.seconds.append(time.perf_counter() - clock)
        if mrr["mean"] > best_mrr:
            best_mrr, history.best = mrr["mean"], epoch
            best_state = {
                name: tensor.detach().clone() for name, tensor in model.state_dict().items()
            }
        losses = {name: f"{values[-1]:.3f}" for name, values in history.loss.items()}
        bar.set_postfix(losses | {"valid_MRR": f"{mrr['mean']:.4f}"})
        if checkpoint is not None and not distributed.rank():
            write_checkpoint(
                checkpoint,
                {
                    "identity": known,
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


def _random(device: torch.device) -> list[Tensor]:
    """The states of the random generators behind dropout and negatives."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


def _set_random(states: list[Tensor], device: torch.device) -> None:
    """Put the random generators back into these states."""
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:  # a file from a processor has one state only
        torch.cuda.set_rng_state(states[1], device)

"""One training loop for every system (notebook 04).

AdamW with linear warm-up and decay, early stopping on the validation MRR (mean of both domains, one epoch for both),
a checkpoint every epoch: an interrupted run goes on where it stopped and ends with the same numbers.  On a GPU that can, in bfloat16.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from tqdm.auto import tqdm

from tema_lib.data.sequences import Batch, Split, training_batches
from tema_lib.evaluation import Protocol, evaluate
from tema_lib.models.contract import Level0


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to learn.  The paper states none of it; all values are ours."""

    epochs: int = 30
    learning_rate: float = 3e-3          # ours; 1e-3 (C2DSR), 1e-4 (ABXI)
    weight_decay: float = 0.01
    batch_size: int = 64
    max_length: int = 50
    warm_up: float = 0.1                 # share of all steps
    patience: int = 5                    # epochs without a better validation MRR
    clip: float = 5.0                    # gradient norm; 0: not clipped
    window: int = 16                     # so many batches' users are sorted by length together; 1: random batches
    precision: str = "auto"              # "float32"; "bfloat16": autocast; "auto": bfloat16 on a GPU, float32 elsewhere
    seed: int = 0


@dataclass
class TrainingHistory:
    """What happened, one entry an epoch; `best` is the epoch whose weights were kept (-1: nothing to train)."""

    loss: dict[str, list[float]] = field(default_factory=dict)
    valid_mrr: list[dict[str, float]] = field(default_factory=list)     # {"A": ..., "B": ..., "mean": ...}
    seconds: list[float] = field(default_factory=list)
    best: int = -1
    trained_on: str = ""                 # device and precision, such as "cpu float32"

    @property
    def epochs(self) -> int:
        return len(self.seconds)


def best_device() -> torch.device:
    """Where models are trained: $TEMA_DEVICE, else a GPU that torch can use, else the processor."""
    return torch.device(os.environ.get("TEMA_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"))


def training_step(model: Level0, batch: Batch, optimizer: torch.optim.Optimizer, *, clip: float = 0.0, precision: str = "float32") -> dict[str, torch.Tensor]:
    """Forward, backward, clip, update; returns the loss terms, still on the model's device, so that nothing waits for them."""
    with torch.autocast(batch.sequence.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        terms = model.loss(batch)
    optimizer.zero_grad(set_to_none=True)
    model.combine(terms).backward()
    if clip:
        torch.nn.utils.clip_grad_norm_([parameter for group in optimizer.param_groups for parameter in group["params"]], clip)
    optimizer.step()
    return {name: term.detach() for name, term in terms.items()}


class OtherCheckpoint(ValueError):
    """A checkpoint that belongs to another model, split, configuration, device or precision."""


def train(model: Level0, split: Split, domain_of_item: torch.Tensor, config: TrainConfig = TrainConfig(), *,
          checkpoint: Path | None = None, progress: str | None = None) -> TrainingHistory:
    """Fit `model` in place and leave it at its best epoch, in evaluation mode.

    `checkpoint`: a file written after every epoch and used to resume; it is refused when it belongs to another configuration.
    Raises OtherCheckpoint for one of another run, FloatingPointError when the loss stops being finite.
    """
    torch.manual_seed(config.seed)
    model.prepare(split.train)
    history = TrainingHistory()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        model.eval()
        return history
    device = parameters[0].device
    if config.precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"precision is {config.precision!r}: choose auto, float32 or bfloat16.")
    short = device.type == "cuda" and torch.cuda.is_bf16_supported()
    precision = ("bfloat16" if short else "float32") if config.precision == "auto" else config.precision
    history.trained_on = f"{device.type} {precision}"
    domain_of_item = domain_of_item.cpu()
    steps = -(-int((split.train.lengths >= 2).sum()) // config.batch_size) * config.epochs
    warm = max(1, int(config.warm_up * steps))
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm))))
    order = torch.Generator().manual_seed(config.seed)
    best_state, best_mrr, start = None, -1.0, 0
    mark = _mark(model, split, config, history.trained_on)

    if checkpoint is not None and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
        if saved["mark"] != mark:
            raise OtherCheckpoint(f"{checkpoint} belongs to another model, split or configuration: delete it to start anew.")
        model.load_state_dict(saved["model"]), optimizer.load_state_dict(saved["optimizer"]), schedule.load_state_dict(saved["schedule"])
        order.set_state(saved["order"]), _set_random(saved["random"], device)
        history, best_state, best_mrr, start = TrainingHistory(**saved["history"]), saved["best_state"], saved["best_mrr"], saved["epoch"] + 1

    bar = tqdm(range(start, config.epochs), initial=start, total=config.epochs, desc=progress, unit="epoch", leave=False, disable=progress is None)
    for epoch in bar:
        if epoch - history.best > config.patience and epoch > 0:
            break
        clock, sums, count = time.perf_counter(), {}, 0
        model.train()
        for batch in training_batches(split.train, domain_of_item, max_length=config.max_length, batch_size=config.batch_size,
                                      generator=order, window=config.window):
            terms = training_step(model, batch.to(device), optimizer, clip=config.clip, precision=precision)
            schedule.step()
            count += len(batch.sequence)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term * len(batch.sequence)
        for name, total in sums.items():
            history.loss.setdefault(name, []).append(float(total) / count)
            if not math.isfinite(float(total)):
                raise FloatingPointError(f"the loss became {float(total) / count} in epoch {epoch}: lower the learning rate.")
        ranks = evaluate(model, split.valid, domain_of_item, max_length=config.max_length, protocol=Protocol(negatives=0))
        mrr = {domain: ranks.of_domain(index).metric("MRR") for index, domain in enumerate("AB")}
        mrr["mean"] = sum(mrr.values()) / 2
        history.valid_mrr.append(mrr)
        history.seconds.append(time.perf_counter() - clock)
        if mrr["mean"] > best_mrr:
            best_mrr, history.best = mrr["mean"], epoch
            best_state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        bar.set_postfix(loss=f"{history.loss['next item'][-1]:.3f}", valid_MRR=f"{mrr['mean']:.4f}")
        if checkpoint is not None:
            _write(checkpoint, {"mark": mark, "epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict(),
                                "schedule": schedule.state_dict(), "order": order.get_state(), "random": _random(device),
                                "history": asdict(history), "best_state": best_state, "best_mrr": best_mrr})
    model.load_state_dict(best_state)
    model.eval()
    return history


def _random(device: torch.device) -> list[torch.Tensor]:
    """The states of the generators that dropout and negatives draw from."""
    return [torch.get_rng_state()] + ([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])


def _set_random(states: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state, device)


def _mark(model: Level0, split: Split, config: TrainConfig, trained_on: str) -> str:
    """Identifies model shape and options, data, configuration and device, so that a checkpoint is never resumed under another one."""
    shapes = {name: list(parameter.shape) for name, parameter in model.named_parameters()}
    options = asdict(model.config) if hasattr(model, "config") else {}
    digest = hashlib.sha256(json.dumps([shapes, options, asdict(config), split.name, trained_on]).encode())
    digest.update(split.train.items.numpy().tobytes())
    for _, tensor in sorted(model.named_buffers()):
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)

"""The ranking of an export for programs without this library, or without Python.

    torch_program(predictor, path)   a .pt2 file, for `torch.export.load`
    onnx_program(predictor, path)    an .onnx file, for any ONNX runtime

Both take histories of global item ids, right-padded with 0 to the model's longest, int64 [B, T],
and the domains of the targets, int64 [B], 0 for A and 1 for B.  They give a score for each item,
float [B, N+1], and -inf for padding and for items of the other domain.  Global ids are the line
numbers of items.jsonl.  A portable form is no faster (notebook 06).  Status: ours.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tema_lib.data.batches import Batch
from tema_lib.models.tema import BRANCHES, Tema
from tema_lib.serving.predictor import Predictor
from tema_lib.workspace import write_atomically


class Scores(nn.Module):
    """Histories -> scores of all items, in tensor operations of fixed shapes alone."""

    inputs: Tensor
    ids: Tensor
    outputs: Tensor
    domain_of_item: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.model = predictor.model
        with torch.no_grad():
            inputs, outputs = self.model.item_embeddings()
        hidden = inputs.size(1)
        if isinstance(self.model, Tema):  # the fused vectors, and those of the ids beside them
            hidden = self.model.config.hidden
        self.register_buffer("inputs", inputs[:, :hidden].clone())
        self.register_buffer("ids", inputs[:, hidden:].clone())
        self.register_buffer("outputs", outputs.T.contiguous())
        self.register_buffer("domain_of_item", self.model.domain_of_item)

    def forward(self, sequence: Tensor, domain: Tensor) -> Tensor:
        """int64 [B, T] and [B] -> float [B, N+1]."""
        rows = torch.zeros_like(domain)  # which sequences these are is not read
        batch = Batch(sequence, None, domain, rows)
        if isinstance(self.model, Tema):
            states = self.states_of_tema(self.model, batch)
        else:
            states = self.model.last_hidden_states(batch, self.inputs)
        other = self.domain_of_item[None] != domain[:, None]
        return (states @ self.outputs).masked_fill(other, -torch.inf)

    def states_of_tema(self, model: Tema, batch: Batch) -> Tensor:
        """As `Tema.last_hidden_states`, which selects rows by their domain: here both are made."""
        collected, lengths = [], []
        for branch in model.config.branches:
            sequence = batch.sequence
            if branch != "merged":
                own = self.domain_of_item[sequence] == BRANCHES.index(branch)
                place = torch.where(own, own.long().cumsum(1) - 1, sequence.size(1))
                spare = F.pad(torch.zeros_like(sequence), (0, 1))
                sequence = spare.scatter(1, place, sequence)[:, :-1]
            lengths.append((sequence > 0).sum(1))
            encoder = model.encoders[branch]
            collected.append(model.last_states(encoder, sequence, lengths[-1], self.inputs)[:, 0])
        states, present = torch.stack(collected, 1), torch.stack(lengths, 1) > 0
        for_a, for_b = (model.across(states, present, number)[0] for number in (0, 1))
        state = model.head.states(torch.where(batch.target_domain[:, None] == 0, for_a, for_b))
        if model.sasrec is None:
            return state
        return torch.cat([state, model.last_id_states(batch, self.ids)], -1) / 2


def _example(predictor: Predictor) -> tuple[Tensor, Tensor]:
    """Three histories; their number must not be one that the model knows, as two domains are."""
    sequence = torch.zeros(3, predictor.model.max_length, dtype=torch.long)
    sequence[:, 0], sequence[1, 1] = 1, len(predictor.catalogue)
    return sequence, torch.tensor([0, 1, 0])


SHAPES = ({0: torch.export.Dim("batch")}, {0: torch.export.Dim("batch")})


def torch_program(predictor: Predictor, path: Path) -> None:
    """Write a program for `torch.export.load`; how many histories it takes at once is open."""
    with torch.no_grad():
        program = torch.export.export(
            Scores(predictor).eval(), _example(predictor), dynamic_shapes=SHAPES
        )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    write_atomically(path, buffer.getvalue())


def onnx_program(predictor: Predictor, path: Path) -> None:
    """Write a program for an ONNX runtime, with inputs `sequence`, `domain` and output `scores`."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own parts
        program = torch.onnx.export(
            Scores(predictor).eval(),
            _example(predictor),
            dynamo=True,
            dynamic_shapes=SHAPES,
            input_names=["sequence", "domain"],
            output_names=["scores"],
            verbose=False,
        )
    assert program is not None
    write_atomically(path, program.model_proto.SerializeToString())

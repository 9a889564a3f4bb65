"""Programs for other runtimes give the predictor's scores, however many histories they get."""

import onnxruntime
import pytest
import torch

from tema_lib.data.batches import Batch
from tema_lib.serving.portable import onnx_program, torch_program
from tema_lib.serving.predictor import load

TOLERANCE = 1e-4


def questions(count, longest, seed=0):
    """Histories of 1, 2, ... events and the longest one, with targets in turn in A and B."""
    generator = torch.Generator().manual_seed(seed)
    sequence = torch.zeros(count, longest, dtype=torch.long)
    for row, length in enumerate([*range(1, count), longest]):
        sequence[row, :length] = torch.randint(1, 601, (length,), generator=generator)
    return sequence, torch.arange(count) % 2


@torch.no_grad()
def expected(predictor, sequence, domain):
    """Scores [B, N+1] by the model itself."""
    model = predictor.model
    scores = model.score(Batch(sequence, None, domain, domain), torch.arange(601))
    return scores.masked_fill(model.domain_of_item[None] != domain[:, None], -torch.inf)


@pytest.mark.parametrize("system", ["tema", "sasrec"])
def test_a_torch_program_scores_as_the_model_does(system, exported, tmp_path):
    predictor = load(exported[system])
    torch_program(predictor, tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2").module()
    for count in (1, 5, 40):
        asked = questions(count, predictor.model.max_length)
        scores = program(*asked)
        torch.testing.assert_close(scores, expected(predictor, *asked), rtol=0, atol=TOLERANCE)


def test_an_onnx_program_scores_as_the_model_does(exported, tmp_path):
    predictor = load(exported["tema"])
    onnx_program(predictor, tmp_path / "model.onnx")
    program = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for count in (1, 5, 40):
        sequence, domain = questions(count, predictor.model.max_length)
        (scores,) = program.run(None, {"sequence": sequence.numpy(), "domain": domain.numpy()})
        by_model = expected(predictor, sequence, domain)
        torch.testing.assert_close(torch.from_numpy(scores), by_model, rtol=0, atol=TOLERANCE)

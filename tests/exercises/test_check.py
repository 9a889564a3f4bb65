"""What the self-check of an exercise says."""

import pytest
import torch

from tema_lib.exercises.check import verdict


def double(answer):
    """An exercise: twice a number."""
    assert answer(0) == 0, "twice nothing is nothing"
    number = float(torch.rand(()))
    assert answer(number) == 2 * number, "it is not twice the number"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda number: 2 * number, "solved"),
        (lambda number: None, "not solved yet: it returns None"),
        (lambda number: 1, "not solved yet: twice nothing is nothing"),
        (lambda number: number, "not solved yet: it is not twice the number"),
        (
            lambda number: number["a"],
            "not solved yet: it stops with TypeError: 'int' object is not",
        ),
    ],
)
def test_an_answer_is_told_what_is_wrong(answer, says):
    assert verdict(double, answer).startswith(says)


def test_random_numbers_are_the_same_each_time_and_those_of_the_notebook_go_on():
    seen = []
    before = torch.random.get_rng_state()
    for _ in range(2):
        verdict(lambda answer: seen.append(torch.rand(()).item()), double)
    assert seen[0] == seen[1]
    assert torch.equal(torch.random.get_rng_state(), before)

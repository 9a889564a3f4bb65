"""`tema systems`: a line for each system: name, file, parameters, status and source."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from tema_lib.encoders.text import TitleTokens
from tema_lib.models.item_embedding import MODALITIES, ItemInputs
from tema_lib.models.systems import SYSTEMS
from tema_lib.tags.profiles import Profiles
from tema_lib.workspace import ROOT

ITEMS, USERS = 600, 1200  # of the synthetic data set
TAGS, WORD_PIECES = 300, 900  # of it as well, rounded


class DefaultSize:
    """What an `Experiment` offers a system, random but of the right shape."""

    hidden, dropout, modalities = 64, 0.3, MODALITIES
    options: Mapping[str, Any] = MappingProxyType({})
    domain_of_item = torch.tensor([-1] + [0] * (ITEMS // 2) + [1] * (ITEMS // 2))
    profiles = Profiles(("",) * USERS, torch.randn(USERS, 384), torch.ones(USERS, dtype=torch.bool))
    titles = TitleTokens(
        torch.randint(1, WORD_PIECES, (ITEMS + 1, 16)).index_fill(0, torch.tensor([0]), 0),
        torch.randn(WORD_PIECES + 1, 384),
    )

    def inputs(
        self, tags: str = "", shuffle: tuple[str, ...] = (), text: str = "plain"
    ) -> ItemInputs:
        """Random features of every modality, whatever is asked for."""
        present = torch.arange(ITEMS + 1) > 0
        return ItemInputs(
            self.domain_of_item,
            torch.randn(ITEMS + 1, 384),
            present,
            torch.randn(ITEMS + 1, 1280),
            present,
            torch.randint(1, TAGS, (ITEMS + 1, 5)) * present[:, None],
            torch.rand(ITEMS + 1, 5),
            torch.randn(TAGS + 1, 384),
        )


def main(chosen: argparse.Namespace) -> None:
    """Print the table; a system counts as large as it is, whatever it was fed."""
    size = DefaultSize()
    print(f"{'system':22} {'file':34} {'parameters':>10}  {'status':10}  source")
    for name, system in SYSTEMS.items():
        model = system.build(size)
        file = Path(inspect.getfile(type(model))).resolve().relative_to(ROOT).as_posix()
        count = sum(parameter.numel() for parameter in model.parameters())
        print(f"{name:22} {file:34} {count:10,}  {system.status:10}  {system.source}")
    print(
        f"\nParameters: {ITEMS} items, {TAGS} tags, {WORD_PIECES} word pieces, width "
        f"{size.hidden}. reproduced: the mechanism was read in released code or is textbook; "
        "after: in the manner of,\npart of it is our reading; ours: a control or a baseline. Each "
        "file says what is stated, inferred and ours."
    )

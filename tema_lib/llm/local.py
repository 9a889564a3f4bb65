"""A local language model: which one it is, and how it decodes; it is loaded when it is asked.

Status: the paper names no language model; this one is ours, chosen because it is small, open and
installable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tema_lib.encoders.folder import fingerprint
from tema_lib.encoders.weights import resolve
from tema_lib.llm.decoding import Decoding

if TYPE_CHECKING:
    from tema_lib.llm.generation import TextGenerator

DEFAULT_DECODING = Decoding()
SMALL = "smollm2-135m-instruct"  # the model that the course runs


class LocalModel:
    """A causal language model from a local folder, a known name or a hub id.

    Attributes:
        name: what it is called; never a path of this machine.
        fingerprint: SHA-256 of its weights.
        settings: how it decodes, as JSON text. The device is not part of it: float32 rounds
            differently on each kind of processor, and replies hardly ever depend on that.

    Args:
        name: see `tema_lib.encoders.weights.resolve`.
        decoding: where a reply ends, and what it may not repeat.
        batch: prompts answered at a time.
        dtype: "float32", or "bfloat16", which is several times faster where the hardware has
            matrix units for it, and gives other replies here and there.

    Raises:
        FileNotFoundError, ValueError: there is no such model, or its folder is damaged.
    """

    def __init__(
        self,
        name: str = SMALL,
        decoding: Decoding = DEFAULT_DECODING,
        batch: int = 64,
        dtype: str = "float32",
    ) -> None:
        self.folder = resolve(name)
        self.name = Path(name).name if Path(name).is_dir() else str(name)
        self.fingerprint = fingerprint(self.folder)
        self.decoding, self.batch, self.dtype = decoding, batch, dtype
        self.settings = json.dumps(
            {"decoding": "greedy", "dtype": dtype, **asdict(decoding)}, sort_keys=True
        )

    @cached_property
    def generator(self) -> TextGenerator:
        """The loaded model. Where all replies are stored, it is never needed."""
        from tema_lib.llm.generation import TextGenerator

        return TextGenerator(self.folder, self.decoding, self.batch, self.dtype)

    def generate(self, prompts: Sequence[str]) -> list[str]:
        """The replies to `prompts`, in their order, each without its final newline."""
        replies = [""] * len(prompts)
        for positions, texts in self.generate_batches(prompts):
            for position, text in zip(positions, texts):
                replies[position] = text
        return replies

    def generate_plain(self, prompt: str) -> str:
        """The reply to one prompt by transformers' own greedy generation: slower, and the same."""
        return self.generator.generate_plain(prompt)

    def generate_batches(self, prompts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
        """Answer batch by batch, see `TextGenerator.generate_batches`."""
        return self.generator.generate_batches(prompts)

    def choose_batches(
        self, prompts: Sequence[str], first: str, second: str
    ) -> Iterator[tuple[list[int], list[str]]]:
        """Choose between two words, see `TextGenerator.choose_batches`."""
        return self.generator.choose_batches(prompts, first, second)

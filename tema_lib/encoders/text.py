"""Text of items -> vectors, with a real sentence encoder.

Status: the paper states that titles are encoded by a pretrained model; which encoder is used is
ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from tema_lib.encoders.device import best_device
from tema_lib.encoders.features import ItemFeatures, collect
from tema_lib.encoders.folder import configuration, from_folder, model_type, quiet_transformers
from tema_lib.encoders.weights import resolve

LONGEST = 256  # tokens of one text that are read; MiniLM was trained on texts up to this length

EncodeTexts = Callable[[list[str]], Tensor]  # texts -> vectors [B, F]


def encode_text(
    texts: Sequence[str], model: str | Path = "minilm-l6-v2", batch: int = 64, progress: bool = True
) -> ItemFeatures:
    """One vector of length 1 per text: row i belongs to ``texts[i]``.

    An empty text (padding, or an item without any) has ``present`` False and a row of zeros.

    Args:
        texts: [N+1], by global id, or any others.
        model: see `resolve`; of a folder with a CLIP model, the text tower is used.
        batch: texts encoded at a time.
        progress: whether a bar is shown.

    Returns:
        A matrix [len(texts), F] on the processor; the encoder runs on `best_device`.

    Raises:
        ValueError: the model cannot encode text, or its folder is damaged.
    """
    folder = resolve(model)
    if model_type(folder) == "efficientnet-lite0":
        raise ValueError(
            f"The model {model} encodes pictures, not text: take minilm-l6-v2 or another sentence "
            "encoder."
        )
    encode = _clip_texts(folder) if model_type(folder) == "clip" else _sentences(folder)
    present = torch.tensor([bool(text.strip()) for text in texts], dtype=torch.bool)

    # Texts of similar length go together, so that little padding is computed; the longest come
    # first, so that too large a batch runs out of memory at once and not at the end.
    order = sorted(present.nonzero().flatten().tolist(), key=lambda i: -len(texts[i]))
    rows: list[int] = []
    vectors: list[Tensor] = []
    with (
        torch.inference_mode(),
        tqdm(total=len(order), desc="texts", unit="text", disable=not progress) as bar,
    ):
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            rows += chosen
            vectors.append(encode([texts[i] for i in chosen]).cpu())  # [B, F]
            bar.update(len(chosen))
    return collect(rows, vectors, present, model, folder)


def _sentences(folder: Path) -> EncodeTexts:
    """A sentence encoder: the mean of its last hidden states over the real tokens.

    Or the first one, if the folder says so.
    """
    from transformers import AutoModel

    tokenizer, network = _tokenizer_and(AutoModel, folder)
    network = network.float().eval().to(best_device())
    pooling = folder / "1_Pooling"  # how sentence-transformers writes down the pooling
    first_token = (pooling / "config.json").is_file() and configuration(pooling).get(
        "pooling_mode_cls_token"
    )

    def encode(texts: list[str]) -> Tensor:
        tokens = tokenizer(
            texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        ).to(network.device)
        hidden = network(**tokens).last_hidden_state  # [B, T, D]
        if first_token:
            return hidden[:, 0]
        real = tokens["attention_mask"].unsqueeze(-1).float()  # [B, T, 1]
        return (hidden * real).sum(1) / real.sum(1)  # [B, D]

    return encode


def _tokenizer_and(kind: Any, folder: Path) -> tuple[Any, Any]:
    """Tokenizer and network of a folder.

    Raises ``ValueError``, also where a word piece of the one has no vector in the other.
    """
    from transformers import AutoTokenizer

    tokenizer = from_folder(AutoTokenizer, folder)
    network = from_folder(kind, folder, use_safetensors=True)
    rows = getattr(network, "text_model", network).get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ValueError(
            f"The tokenizer in {folder} has {len(tokenizer):,} word pieces and the model {rows:,} "
            "vectors for them: they belong to two models; copy or download the whole folder again."
        )
    return tokenizer, network


def _clip_texts(folder: Path) -> EncodeTexts:
    """The text tower of CLIP: its vectors are in the same space as those of its image tower."""
    from transformers import CLIPModel

    tokenizer, network = _tokenizer_and(CLIPModel, folder)
    network = network.float().eval().to(best_device())
    longest = network.config.text_config.max_position_embeddings

    def encode(texts: list[str]) -> Tensor:
        tokens = tokenizer(
            texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        ).to(network.device)
        vectors = network.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        )
        return getattr(vectors, "pooler_output", vectors)  # newer transformers wrap the tensor

    return encode


@dataclass(frozen=True)
class TitleTokens:
    """Titles as word pieces, the encoder's smallest units; row 0 of both tensors is padding.

    ids          [N+1, L] int64: the word pieces of each title from the left, 0 behind the last one;
                 numbered 1..V as they occur in these titles
    vectors      [V+1, F] float: what the encoder takes in for each word piece, before its first
                 layer: the same in every sentence
    """

    ids: Tensor
    vectors: Tensor


def title_tokens(
    titles: Sequence[str], model: str | Path = "minilm-l6-v2", length: int = 16
) -> TitleTokens:
    """The first word pieces of each title, with the encoder's own frozen vectors for them.

    A title without a word piece becomes the encoder's token for the unknown, so that no real item
    is empty.  Status: ours.

    Args:
        titles: [N+1]; ``titles[0]`` belongs to the padding item and is not read.
        model: see `resolve`.
        length: L, word pieces of a title that are read.

    Raises:
        ValueError: the model has no table of word pieces.
    """
    from transformers import AutoModel

    folder = resolve(model)
    if model_type(folder) in ("efficientnet-lite0", "clip"):
        raise ValueError(
            f"The model {model} has no word pieces for titles: take minilm-l6-v2 or another "
            "sentence encoder."
        )
    tokenizer, network = _tokenizer_and(AutoModel, folder)
    table = network.get_input_embeddings().weight.detach().float()
    with quiet_transformers():  # no note about titles longer than the encoder reads
        pieces = tokenizer(list(titles), add_special_tokens=False)["input_ids"]
    grid = torch.full((len(titles), length), -1)  # -1: none; the smallest, so it becomes number 0
    for row, title in enumerate(pieces[1:], start=1):
        title = title[:length] or [tokenizer.unk_token_id]
        grid[row, : len(title)] = torch.tensor(title)
    occurring, ids = grid.unique(return_inverse=True)
    return TitleTokens(ids, torch.cat([table.new_zeros(1, table.shape[1]), table[occurring[1:]]]))

"""TEMA-LLM, reproduced: from raw interactions and an LLM's tags to a ranked list.

    import tema_lib

    data = tema_lib.load_dataset("synthetic")            # or a folder
    experiment = tema_lib.Experiment(data, seed=0)
    model = experiment.train("tema")
    print(experiment.evaluate(model))
    print(experiment.recommend(model, history=["A001", "B002"], domain="B", k=10))
    predictor = tema_lib.load("build/export/synthetic-tema-0")   # what `tema export` wrote

The folder listing is the lecture plan: `data`, `datasets` (notebook 01), `llm`, `tags` (02),
`encoders` (03), `models` (03, 04, 07), `training` (04), `explain` (05), `evaluation`, `serving`
(06).
Imports point along the pipeline only.

Shape letters used everywhere: **B** batch, **T** sequence length, **D** hidden size, **H** heads,
**N** items, **F** raw feature width, **G** tags in the vocabulary, **K** tags per item. Item id 0
is padding.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tema_lib.datasets.load import load_dataset
    from tema_lib.evaluation.ranking import evaluate
    from tema_lib.experiment import Experiment
    from tema_lib.models.systems import SYSTEMS
    from tema_lib.recommendation import recommend
    from tema_lib.serving.predictor import load
    from tema_lib.training import train

__version__ = "0.1.0"
__all__ = [
    "SYSTEMS",
    "Experiment",
    "__version__",
    "evaluate",
    "load",
    "load_dataset",
    "recommend",
    "train",
]

# Each name is imported when it is first used, so that `import tema_lib` loads neither torch nor
# transformers.
_HOMES = {
    "SYSTEMS": "tema_lib.models.systems",
    "Experiment": "tema_lib.experiment",
    "evaluate": "tema_lib.evaluation.ranking",
    "load": "tema_lib.serving.predictor",
    "load_dataset": "tema_lib.datasets.load",
    "recommend": "tema_lib.recommendation",
    "train": "tema_lib.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

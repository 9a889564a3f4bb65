"""All systems by name: what builds each, where it comes from, and how close it is to its source.

An entry here and a class in this folder make a system.  The entry also puts it before the property
tests, into notebook 07 and into `make run SYSTEMS="..."`.  Status:

    reproduced   the mechanism was read in released code or is textbook; differences are in the file
    after        in the manner of: part is stated, the rest is our interpretation, noted in the file
    ours         a control or a baseline of this project
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from tema_lib.models.autocdsr import AutoCDSR, AutoCDSRConfig
from tema_lib.models.base import Recommender
from tema_lib.models.baselines import CoOccurrence, Popularity
from tema_lib.models.heads import EncoderConfig
from tema_lib.models.inputs import MODALITIES, ModelInputs
from tema_lib.models.llm4cdsr import LLM4CDSR, LLM4CDSRConfig
from tema_lib.models.llmrec import LLMRec, LLMRecConfig
from tema_lib.models.man import MAN, MANConfig
from tema_lib.models.sasrec import SASRec, SASRecConfig
from tema_lib.models.tema import Tema, TemaConfig

Build = Callable[[ModelInputs], Recommender]


@dataclass(frozen=True)
class System:
    """How a system is built and where it comes from.

    Args:
        build: makes the untrained system from what an `Experiment` provides.
        source: the paper or idea.
        status: "reproduced", "after" or "ours".
        also: {name: source} of other names of the very same model, which is trained once.
    """

    build: Build
    source: str
    status: str
    also: dict[str, str] = field(default_factory=dict)


CONFIGS = (SASRecConfig, TemaConfig, LLM4CDSRConfig, AutoCDSRConfig, LLMRecConfig, MANConfig)


Config = TypeVar("Config", bound=EncoderConfig)


def configured(config: type[Config], run: ModelInputs, **fixed: Any) -> Config:
    """A configuration with the run's width, dropout, and those of its options that are its fields.

    A system whose configuration has a dropout rate of its own keeps it.

    Args:
        fixed: what makes the system, whatever the options say.
    """
    names = {known.name for known in fields(config)}
    given = {name: value for name, value in run.options.items() if name in names}
    sizes: dict[str, Any] = {"hidden": run.hidden}
    if config.dropout == EncoderConfig.dropout:
        sizes["dropout"] = run.dropout
    return config(**sizes | given | fixed)


def tema(modalities: tuple[str, ...] = (), branches: tuple[str, ...] = (), **inputs: Any) -> Build:
    """TEMA on those modalities that the data provide; `inputs` as in `ModelInputs.inputs`.

    Modalities and branches that are not given are those of the run's options, else all.
    """

    def build(run: ModelInputs) -> Recommender:
        wanted = modalities or run.options.get("modalities", MODALITIES)
        fixed = {"modalities": tuple(name for name in wanted if name in run.modalities)}
        if branches:
            fixed["branches"] = branches
        return Tema(run.inputs(**inputs), configured(TemaConfig, run, **fixed))

    return build


def llm4cdsr(**options: Any) -> Build:
    """LLM4CDSR with `options` of its configuration; without L_user no profile is written."""

    def build(run: ModelInputs) -> Recommender:
        config = configured(LLM4CDSRConfig, run, **options)
        return LLM4CDSR(run.inputs(), run.profiles if config.profile else None, config)

    return build


TEMA_PAPER = "TEMA-LLM, arXiv 2510.09224"
SASREC_PAPER = "Kang and McAuley 2018"
LLM4CDSR_PAPER = "LLM4CDSR, arXiv 2504.18383"
AUTOCDSR_PAPER = "AutoCDSR, arXiv 2505.21811"

SYSTEMS = {
    "popularity": System(lambda run: Popularity(run.domain_of_item), "textbook", "reproduced"),
    "markov": System(
        lambda run: CoOccurrence(run.domain_of_item, history=False),
        "Markov chain, textbook",
        "reproduced",
    ),
    "co-occurrence": System(
        lambda run: CoOccurrence(run.domain_of_item, history=True), "item-to-item counts", "ours"
    ),
    "sasrec-per-domain": System(
        lambda run: SASRec(run.domain_of_item, configured(SASRecConfig, run, per_domain=True)),
        SASREC_PAPER,
        "reproduced",
    ),
    "sasrec": System(
        lambda run: SASRec(run.domain_of_item, configured(SASRecConfig, run)),
        SASREC_PAPER,
        "reproduced",
    ),
    "tema": System(tema(), TEMA_PAPER, "after"),
    "tema-small-tags": System(tema(tags="small"), "control: tags of the small model", "ours"),
    "tema-merged": System(
        tema(branches=("merged",)), "control: attention over the merged sequence alone", "ours"
    ),
    "tema-no-tags": System(
        tema(("id", "text", "image")),
        "control: no tags",
        "ours",
        {"haf-vt": "after HAF-VT, arXiv 2504.15085"},
    ),
    "tema-title-words": System(
        tema(tags="title words"), "control: words of the title as tags", "ours"
    ),
    "tema-encoder-tags": System(
        tema(tags="encoder only"), "control: tags given by the text encoder", "ours"
    ),
    "tema-shuffled-tags": System(tema(tags="shuffled"), "control: tags of other items", "ours"),
    "tema-shuffled-content": System(
        tema(tags="shuffled", shuffle=("text",)), "control: tags and text of other items", "ours"
    ),
    "ifcdsr": System(tema(("id", "image")), "IFCDSR, arXiv 2502.15694", "after"),
    "llm-emf": System(
        tema(("id", "text", "image"), text="enriched"), "LLM-EMF, arXiv 2506.17966", "after"
    ),
    "llm4cdsr": System(llm4cdsr(), LLM4CDSR_PAPER, "reproduced"),
    "llm4cdsr-no-contrastive": System(llm4cdsr(contrastive=0), "control: alpha = 0", "ours"),
    "llm4cdsr-no-profiles": System(llm4cdsr(profile=0), "control: beta = 0", "ours"),
    "autocdsr": System(
        lambda run: AutoCDSR(run.domain_of_item, configured(AutoCDSRConfig, run)),
        AUTOCDSR_PAPER,
        "after",
    ),
    "autocdsr-plus": System(
        lambda run: AutoCDSR(run.domain_of_item, configured(AutoCDSRConfig, run, plus=True)),
        AUTOCDSR_PAPER,
        "after",
    ),
    "llm-rec": System(
        lambda run: LLMRec(run.domain_of_item, run.titles, configured(LLMRecConfig, run)),
        "LLM-Rec, arXiv 2310.14304",
        "after",
    ),
    "man": System(
        lambda run: MAN(run.domain_of_item, configured(MANConfig, run)),
        "MAN, arXiv 2311.08272",
        "reproduced",
    ),
}

SMALL_TAGS = "tema-small-tags"
# What a run trains unless it is told otherwise: the story of the notebooks.
LESSON = (
    "popularity",
    "co-occurrence",
    "sasrec-per-domain",
    "sasrec",
    "tema",
    "tema-small-tags",
    "tema-no-tags",
    "tema-shuffled-tags",
    "llm4cdsr",
)
ALIASES = {name: tuple(system.also) for name, system in SYSTEMS.items() if system.also}


def system_named(name: str) -> str:
    """The name under which a system is trained, for its own name or another name of its model.

    Raises:
        ValueError: for an unknown name.
    """
    for own, system in SYSTEMS.items():
        if name in (own, *system.also):
            return own
    raise ValueError(f"system {name!r} is unknown: choose from {', '.join(SYSTEMS)}.")


def chosen_systems(names: str) -> list[str]:
    """The systems of a list such as "sasrec tema", each once; "": the lesson's; "all": all.

    Raises:
        ValueError: for an unknown name.
    """
    if names.split() == ["all"]:
        return list(SYSTEMS)
    return list(dict.fromkeys(map(system_named, names.split() or LESSON)))

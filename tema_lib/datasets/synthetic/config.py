"""How large the synthetic data set is, and how strongly its rule holds.  Status: ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SyntheticConfig:
    """The settings of the generator; shares and probabilities are between 0 and 1."""

    items_per_domain: int = 300
    users: int = 1_200
    # Shares of items with a missing modality; the three groups never overlap, so each item can
    # still be understood.
    uninformative: float = 0.15  # a title like "Model 4", no description: only the picture tells
    undescribed: float = 0.15  # a telling title, a picture, no description
    unpictured: float = 0.10  # a telling title, a description, no picture
    decorated: float = 0.25  # telling titles with brand, size and the like; the others are bare
    praised: float = 0.25  # descriptions with a second sentence, one that fits anything
    # Popularity: a long tail, and new arrivals that few users can have seen before the end.
    tail: float = 1.3  # weight of the item at rank r within its topic and domain: 1 / r**tail
    arrivals: float = 0.20  # share of items that enter the catalogue in the last days
    arrival_days: float = 14.0  # ... namely in these last days of the calendar
    arrival_pick: float = 0.36  # probability that an event in those days goes to a new arrival
    # Users: events, and how one event leads to the next.
    shortest: int = 8  # events
    longest: int = 20  # events
    mean_extra: float = 3.5  # mean number of events above the shortest
    topics_per_user: int = 4  # a user returns to these
    noise: float = 0.10  # an event that belongs to no topic of the user
    switch: float = 0.16  # the topic ends and another begins
    cross: float = 0.55  # the same topic goes on in the other domain; otherwise in the same domain
    next_kind: float = 0.75  # within a domain the kinds of a topic follow their order
    # How much likelier an item of the expected kind is than any other of the topic.
    kind_pull: float = 5.0
    gap_days: float = 11.0  # mean time between two events
    last_days: float = 9.0  # mean time from a user's last event to the end of the calendar
    calendar_end: int = 1_735_603_200  # 31 December 2024, 00:00 UTC


DEFAULT = SyntheticConfig()

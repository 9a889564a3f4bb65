"""The users of the synthetic data set, and the rule by which one event leads to the next.

    make_users(items, config, seed)     every user with their events, in time order

Status: ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from tema_lib.datasets.synthetic.config import SyntheticConfig
from tema_lib.datasets.synthetic.items import TOPICS, SyntheticItem

DAY = 86_400  # seconds
ItemsOf = dict[tuple[int, str], list[SyntheticItem]]  # by topic and domain


@dataclass
class SyntheticUser:
    """One user.

    events: (item, Unix seconds); topics: the topic of each event, an index into `TOPICS`; reasons:
    why each event happened (start, stay, cross, noise).
    """

    user_id: str
    events: list[tuple[SyntheticItem, int]] = field(default_factory=list)
    topics: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def make_users(
    items: list[SyntheticItem], config: SyntheticConfig, seed: int
) -> list[SyntheticUser]:
    """All users with their events, sorted by id."""
    random = Random(f"{seed} users")
    items_of = {
        (topic, domain): [item for item in items if item.topic == topic and item.domain == domain]
        for topic in range(len(TOPICS))
        for domain in "AB"
    }
    return [
        _with_events(SyntheticUser(f"u{number:04d}"), items_of, config, random)
        for number in range(1, config.users + 1)
    ]


def _with_events(
    user: SyntheticUser, items_of: ItemsOf, config: SyntheticConfig, random: Random
) -> SyntheticUser:
    """Write one user's events.

    A topic goes on (in the other domain, or in this one), ends, or is disturbed by noise.
    """
    tastes = random.sample(range(len(TOPICS)), config.topics_per_user)
    topic, domain, stage, reason = random.choice(tastes), random.choice("AB"), 0, "start"
    for time in _times(config, random):
        if user.events:
            if random.random() < config.noise:  # the topic itself waits
                noise = random.randrange(len(TOPICS)), random.choice("AB"), random.randrange(4)
                _add_event(user, *noise, "noise", time, items_of, config, random)
                continue
            if random.random() < config.switch:
                others = [other for other in tastes if other != topic]
                topic, domain, stage, reason = (
                    random.choice(others),
                    random.choice("AB"),
                    0,
                    "start",
                )
            elif random.random() < config.cross:
                # An item of one domain calls for its counterpart in the other.
                domain, reason = "AB".replace(domain, ""), "cross"
            else:
                stage, reason = (stage + (random.random() < config.next_kind)) % 4, "stay"
        _add_event(user, topic, domain, stage, reason, time, items_of, config, random)
    return user


def _times(config: SyntheticConfig, random: Random) -> list[int]:
    """Strictly increasing seconds; most users are still active shortly before the calendar ends."""
    extra = int(-math.log(1 - random.random()) * config.mean_extra + 0.5)
    count = min(config.shortest + extra, config.longest)
    time = config.calendar_end - config.last_days * DAY * -math.log(1 - random.random())
    times = []
    for _ in range(count):
        times.append(int(time))
        time -= DAY * (1 + config.gap_days * -math.log(1 - random.random()))
    return times[::-1]


def _add_event(
    user: SyntheticUser,
    topic: int,
    domain: str,
    stage: int,
    reason: str,
    time: int,
    items_of: ItemsOf,
    config: SyntheticConfig,
    random: Random,
) -> None:
    """Choose an available item that the user has not seen.

    Popular items and those of the expected kind are likelier.
    """
    seen = {item.item_id for item, _ in user.events}
    late = time >= config.calendar_end - config.arrival_days * DAY  # arrivals are available
    wanted = late and random.random() < config.arrival_pick
    available = [
        item
        for item in items_of[topic, domain]
        if item.item_id not in seen and item.arrival <= late
    ]
    if not available:  # one in thousands of users has seen them all
        return
    fitting = [item for item in available if item.arrival == wanted] or available
    weights = [item.weight * (config.kind_pull if item.stage == stage else 1.0) for item in fitting]
    user.events.append((random.choices(fitting, weights)[0], time))
    user.topics.append(topic)
    user.reasons.append(reason)

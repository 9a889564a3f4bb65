"""The k-core is filtered once, so that removed items leave users with too few events."""

from collections import Counter

MARKS = {
    "number_items_tests": 2,
    "k_core_tests": 0,
    "in_time_order_tests": 4,
    "leave_one_out_tests": 4,
    "future_events_tests": 5,
}


def k_core(events, per_item, per_user_and_domain):
    of_item = Counter(item for _, item, _, _ in events)
    events = [event for event in events if of_item[event[1]] >= per_item]
    of_user = Counter((user, domain) for user, _, domain, _ in events)
    return [
        event
        for event in events
        if min(of_user[event[0], domain] for domain in "AB") >= per_user_and_domain
    ]

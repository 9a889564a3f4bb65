"""Lines of official files, written for one pitfall each."""

import gzip
import json


def lines(path, *rows, end="\n"):
    """Rows as they are, or as JSON; gzipped where the name says so."""
    content = "".join(
        (row if isinstance(row, str) else json.dumps(row)) + end for row in rows
    ).encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def review(user="A1AAAAAAAAAAA", item="0132793040", seconds=1365811200, **more):
    return {
        "reviewerID": user,
        "asin": item,
        "unixReviewTime": seconds,
        "overall": 5.0,
        "summary": "fine",
        **more,
    }


def review_2023(item, parent, seconds=1577836800, **more):
    return {
        "user_id": "AGUSER",
        "asin": item,
        "parent_asin": parent,
        "timestamp": seconds * 1000 + 1,
        "rating": 4.0,
        "title": "Best value",
        "helpful_vote": 3,
        **more,
    }

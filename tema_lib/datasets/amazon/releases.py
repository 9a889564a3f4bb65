"""The releases of 2014, 2018 and 2023: where their files are and what they are called.

    addresses("food-kitchen", 2014, "ratings")     where the files of a pair are

The files are for research use and do not belong to this project.  Status: ours; the releases are
McAuley's group's.
"""

from __future__ import annotations

from tema_lib.data.files import DataError

YEARS = (2014, 2018, 2023)
# The two documented pairs, the paper's domains: A and B by their category names, the same in every
# release.
PAIRS = {
    "food-kitchen": ("Grocery_and_Gourmet_Food", "Home_and_Kitchen"),
    "movies-books": ("Movies_and_TV", "Books"),
}
ADDRESS = {
    2014: "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles/",
    2018: "https://datarepo.eng.ucsd.edu/mcauley_group/data/amazon_v2/",
    2023: "https://datarepo.eng.ucsd.edu/mcauley_group/data/amazon_2023/raw/",
}
# `ratings` hold everything a sequence needs and are about a tenth of `reviews`; 2023 offers them
# elsewhere and in another form.
FILES = {
    2014: {
        "ratings": "ratings_{}.csv",
        "reviews": "reviews_{}.json.gz",
        "reviews_5": "reviews_{}_5.json.gz",
        "metadata": "meta_{}.json.gz",
    },
    2018: {
        "ratings": "categoryFilesSmall/{}.csv",
        "reviews": "categoryFiles/{}.json.gz",
        "reviews_5": "categoryFilesSmall/{}_5.json.gz",
        "metadata": "metaFiles2/meta_{}.json.gz",
    },
    2023: {
        "reviews": "review_categories/{}.jsonl.gz",
        "metadata": "meta_categories/meta_{}.jsonl.gz",
    },
}


def release(year: int) -> int:
    """The year itself.

    Raises:
        DataError: There was no release in that year.
    """
    if year not in YEARS:
        raise DataError(
            f"YEAR={year}: there is no such release; choose {', '.join(map(str, YEARS))}."
        )
    return year


def addresses(pair: str, year: int, kind: str, base: str = "") -> dict[str, tuple[str, str]]:
    """Where the files of a documented pair are.

    Args:
        pair: A key of `PAIRS`.
        year: The release.
        kind: Which events, a key of `FILES[year]`.
        base: Another server with the same files below it.

    Returns:
        {"A": (address of the events, address of the metadata), "B": ...}.

    Raises:
        DataError: An unknown pair, year or kind.
    """
    if pair not in PAIRS:
        raise DataError(f"PAIR={pair}: no such pair; choose {' or '.join(PAIRS)}.")
    names = FILES[release(year)]
    if kind not in names or kind == "metadata":
        kinds = ", ".join(name for name in names if name != "metadata")
        raise DataError(f"FROM={kind}: the release of {year} has no such events; choose {kinds}.")
    base = (base or ADDRESS[year]).rstrip("/") + "/"
    return {
        domain: (base + names[kind].format(category), base + names["metadata"].format(category))
        for domain, category in zip("AB", PAIRS[pair])
    }

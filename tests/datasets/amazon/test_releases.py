"""Addresses of the documented pairs."""

import pytest

from tema_lib.data.files import DataError
from tema_lib.datasets.amazon.releases import addresses


def test_addresses_of_the_documented_pairs():
    found = addresses("food-kitchen", 2014, "ratings")
    assert found["A"][0].endswith("categoryFiles/ratings_Grocery_and_Gourmet_Food.csv")
    assert found["B"][1].endswith("meta_Home_and_Kitchen.json.gz")
    assert addresses("movies-books", 2018, "reviews_5", "http://localhost:1")["B"] == (
        "http://localhost:1/categoryFilesSmall/Books_5.json.gz",
        "http://localhost:1/metaFiles2/meta_Books.json.gz",
    )
    for wrong, words in (
        (
            ("shoes", 2014, "ratings"),
            "PAIR=shoes: no such pair; choose food-kitchen or movies-books",
        ),
        (("food-kitchen", 2015, "ratings"), "YEAR=2015"),
        (
            ("food-kitchen", 2023, "ratings"),
            "FROM=ratings: the release of 2023 has no such events; choose reviews",
        ),
    ):
        with pytest.raises(DataError, match=words):
            addresses(*wrong)

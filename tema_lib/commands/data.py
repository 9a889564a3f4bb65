"""`tema data`: bring a documented pair of Amazon categories here, and prepare it."""

from __future__ import annotations

import argparse
import os
import sys
import time
import urllib.parse
from pathlib import Path

from tema_lib.commands.output import say, shown
from tema_lib.data.dataset import DataError
from tema_lib.data.summary import data_quality_warnings, population
from tema_lib.datasets.amazon.download import download
from tema_lib.datasets.amazon.pictures import download_pictures
from tema_lib.datasets.amazon.preparation import Limits, Source, prepare
from tema_lib.datasets.amazon.releases import FILES, addresses
from tema_lib.datasets.load import read_data
from tema_lib.workspace import home, in_checkout


def main(chosen: argparse.Namespace) -> None:
    """Download and prepare; an interrupted run goes on where it stopped."""
    seconds, start = {}, time.time()
    name = f"{chosen.pair}-{chosen.year}"
    out = (chosen.out or home() / "data" / name).expanduser()
    try:
        sources = fetch(chosen)
        seconds["download"] = time.time() - start
        began = time.time()
        report = prepare(
            sources,
            out,
            Limits(chosen.core, chosen.core),
            fetch_pictures=None if chosen.no_pictures else download_pictures,
            say=lambda line: print(f"  {line}", flush=True),
        )
        raw = read_data(out)
        seconds["prepare"] = time.time() - began
    except DataError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(
            f"{error.filename or out} cannot be written ({error.strerror or error}): make room, or "
            "give another OUT=."
        )
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The same command goes on from here.")

    print(f"\n{population(raw).to_string()}\n")
    skipped = report["skipped"] + (["pictures: --no-pictures"] if chosen.no_pictures else [])
    say("Skipped", skipped or ["nothing"])
    say("Look at", data_quality_warnings(raw))
    print("\nSeconds")
    for part, value in [*seconds.items(), ("total", time.time() - start)]:
        print(f"  {part:10} {value:6.0f}")
    command = "make run DATA=" if in_checkout() else "tema run --replay --data "
    print(f"\nNext: {command}{shown(out)}")


def fetch(chosen: argparse.Namespace) -> dict[str, Source]:
    """The official files of both domains, downloaded where they are not there yet.

    Raises DataError for a pair, release or kind of file that does not exist.
    """
    smallest = "ratings" if "ratings" in FILES.get(chosen.year, {}) else "reviews"
    mirror = os.environ.get("TEMA_AMAZON_ADDRESS", "")
    wanted = addresses(chosen.pair, chosen.year, chosen.events or smallest, mirror)
    downloads = chosen.downloads or home() / "downloads" / str(chosen.year)
    sources = {}
    for domain, files in wanted.items():
        paths = [local_path(downloads, address) for address in files]
        for address, path in zip(files, paths):
            print(f"{domain}: {address}", flush=True)
            download(address, path)
        sources[domain] = Source(paths[0], paths[1], chosen.year)
    return sources


def local_path(downloads: Path, address: str) -> Path:
    """Where a file is kept: the last folder of the server stays part of its path.

    2018 has two files of one name, all reviews and the 5-core, in two folders.
    """
    return downloads.joinpath(*urllib.parse.urlsplit(address).path.split("/")[-2:])

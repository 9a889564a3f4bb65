"""Bring a documented pair of Amazon categories here and prepare it: download, join, k-core, titles, pictures.

    python tools/data.py --pair food-kitchen --year 2014 [--out FOLDER]
    make data PAIR=food-kitchen YEAR=2014 [OUT=FOLDER]

What was downloaded lies in build/downloads/<year>/, the finished folder in build/data/<pair>-<year>/. An interrupted run goes on where it
stopped. The files are for research use: read the terms of the release, cite it, and pass neither the files nor their titles on.
TEMA_AMAZON_ADDRESS names another server (a mirror) that has the same files below it.
"""

import argparse
import os
import pathlib
import sys
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pair", required=True, help="food-kitchen or movies-books")
    parser.add_argument(
        "--year", type=int, default=2014, help="release: 2014 (the paper's), 2018 or 2023"
    )
    parser.add_argument(
        "--events",
        default="",
        help="ratings (small; 2014 and 2018), reviews, or reviews_5; default: the smallest there is",
    )
    parser.add_argument(
        "--core",
        type=int,
        default=5,
        help="fewest events of an item, and of a user in each domain (default 5)",
    )
    parser.add_argument("--no-pictures", action="store_true", help="leave the pictures out")
    parser.add_argument("--out", type=pathlib.Path, help="where the prepared folder goes")
    parser.add_argument("--downloads", type=pathlib.Path, help="where the official files are kept")
    return parser.parse_args()


def main():
    chosen = arguments()
    from tema_lib.data.dataset import DataError
    from tema_lib.data.summary import data_quality_warnings, population
    from tema_lib.datasets.amazon.download import download
    from tema_lib.datasets.amazon.pictures import download_pictures
    from tema_lib.datasets.amazon.preparation import Limits, Source, prepare
    from tema_lib.datasets.amazon.releases import FILES, addresses
    from tema_lib.datasets.load import read_data

    seconds, start = {}, time.time()
    try:
        events = chosen.events or (
            "ratings" if "ratings" in FILES.get(chosen.year, {}) else "reviews"
        )
        wanted = addresses(
            chosen.pair, chosen.year, events, os.environ.get("TEMA_AMAZON_ADDRESS", "")
        )
        out = (chosen.out or ROOT / "build" / "data" / f"{chosen.pair}-{chosen.year}").expanduser()
        downloads = chosen.downloads or ROOT / "build" / "downloads" / str(chosen.year)
        sources = {}
        for domain, files in wanted.items():
            # The folders of the server are kept: 2018 has two files of one name, all reviews and the 5-core, in two folders.
            paths = [
                downloads.joinpath(*urllib.parse.urlsplit(address).path.split("/")[-2:])
                for address in files
            ]
            for address, path in zip(files, paths):
                print(f"{domain}: {address}", flush=True)
                download(address, path)
            sources[domain] = Source(*paths, chosen.year)
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
            f"{error.filename or out} cannot be written ({error.strerror or error}): make room, or give another OUT=."
        )
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The same command goes on from here.")

    print(f"\n{population(raw).to_string()}\n\nSkipped")
    skipped = report["skipped"] + (["pictures: --no-pictures"] if chosen.no_pictures else [])
    for line in skipped or ["nothing"]:
        print(f"  {line}")
    if odd := data_quality_warnings(raw):
        print("Look at")
        for line in odd:
            print(f"  {line}")
    print("\nSeconds")
    for part, value in [*seconds.items(), ("total", time.time() - start)]:
        print(f"  {part:10} {value:6.0f}")
    shown = out.resolve().relative_to(ROOT) if out.resolve().is_relative_to(ROOT) else out
    print(f"\nNext: make run DATA={shown}")


if __name__ == "__main__":
    main()

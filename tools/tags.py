"""Tag every item of a data folder with a language model, and write the compact export that may be passed on.

    python tools/tags.py --data FOLDER [--llm NAME | FOLDER | OWNER/NAME | URL] [--out FOLDER] [--domains movies,books] [--dtype bfloat16]
    make tags DATA=FOLDER [LLM=...] [OUT=FOLDER] [DOMAINS=movies,books] [DTYPE=bfloat16]
    python tools/tags.py --data synthetic --out build/tags --store build/tags/synthetic.sqlite --replies data/synthetic/replies.jsonl

Every reply lies in build/replies.sqlite (or $TEMA_REPLIES) as soon as it is there, beside those of `make run`: stop the run whenever
you like and start it again, nothing is asked twice, and equal titles of two data sets are asked once. A URL is any
OpenAI-compatible server; "#name" behind it chooses its model, and a key, where it wants one, is read from the environment
(TEMA_API_KEY). Items that a server refuses are left without tags and listed at the end; --again asks about them once more.
"""

import argparse
import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before torch: one thread repeats its numbers to the last digit; several, waiting, shall not spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
LISTED = 20  # refused items that are named one by one


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", required=True, help="'synthetic', or a folder with interactions and items"
    )
    parser.add_argument(
        "--llm",
        default="smollm2-135m-instruct",
        help="a known name, a folder, a hub id, or the URL of a server",
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=ROOT / "data" / "tags",
        help="where the export goes (default data/tags)",
    )
    parser.add_argument(
        "--domains",
        default="",
        metavar="A,B",
        help="what the two domains are called, such as movies,books (default: the data set says)",
    )
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=("float32", "bfloat16"),
        help="bfloat16: faster where the processor has matrix units for it, with other words here and there",
    )
    parser.add_argument(
        "--request",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        type=field,
        help="a field of the request to a server, as JSON or as text; FIELD= takes one away (as often as needed), "
        'such as --request max_tokens= --request max_completion_tokens=64 --request \'thinking={"type": "disabled"}\'',
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="ask once more about the items that the server refused earlier",
    )
    parser.add_argument(
        "--store",
        type=pathlib.Path,
        help="where the replies are kept (default build/replies.sqlite, or $TEMA_REPLIES)",
    )
    parser.add_argument(
        "--replies",
        type=pathlib.Path,
        help="also write all replies of --store as JSON lines, to ship with a course; they hold the titles",
    )
    chosen = parser.parse_args()
    if chosen.replies and not chosen.store:
        parser.error(
            "--replies needs a --store of its own: the default one may hold titles of other data, which must not be passed on"
        )
    if (chosen.request or chosen.again) and not is_url(chosen.llm):
        parser.error("--request and --again are for a server: give its URL with --llm")
    return chosen


def field(text):
    """(name, value) of FIELD=VALUE; the value is JSON where it can be read so, None where it is empty, else text."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE, such as max_tokens=64")
    if name in ("model", "messages", "stream", "n"):
        raise argparse.ArgumentTypeError(
            f"{name} is not free: a model is named behind the URL (#name), the rest is our question"
        )
    try:
        return name, json.loads(value, parse_constant=str) if value.strip() else None
    except json.JSONDecodeError:
        return name, value


def is_url(name):
    return name.startswith(("http://", "https://"))


def language_model(name, dtype, request):
    """A server for a URL, else a local model."""
    if is_url(name):
        from tema_lib.llm.server import ServerModel

        url, _, model = name.partition("#")
        return ServerModel(url, model or None, request)
    from tema_lib.llm.local import LocalModel

    return LocalModel(name, dtype=dtype)


def why_no_tags(tags, items, name):
    """One sentence that says why there is nothing to export."""
    from tema_lib.tags.prompts import clean, parse_tags

    replies = [reply for row in tags.raw_replies for reply in row]
    read = sum(parse_tags(reply) is not None for reply in replies)
    if not replies:
        return f"None of the {items.count:,} items has a title or a description: there was nothing to ask {name} about, and no export is written."
    if not read:
        shown = next(
            (f' (the first: "{clean(reply, 120)}")' for reply in replies if clean(reply)),
            " (all are empty)",
        )
        return (
            f"In none of the {len(replies):,} replies of {name} a list of tags could be read{shown}, so no export is written: "
            "check the model and its settings, and run again; a server's replies of this kind are asked for anew."
        )
    return (
        f"{read:,} of the {len(replies):,} replies of {name} are lists of tags, but none of these tags fits two items "
        "or more and not too many, so no export is written: tag more items, or use a model that tells them apart in common words."
    )


def report_refusals(refused, items):
    """Say which items the server refused, and why."""
    from tema_lib.tags.prompts import clean

    if not refused:
        return
    print(
        f"{len(refused):,} items have no tags of their own, since the server refused them (--again asks once more):"
    )
    for item, reason in list(refused.items())[:LISTED]:
        print(
            f"  {clean(items.item_id[item], 40)}  {clean(items.title[item] or items.description[item], 60)!r}: {clean(reason, 120)}"
        )
    if len(refused) > LISTED:
        print(f"  ... and {len(refused) - LISTED:,} more")


def main():
    chosen = arguments()
    from chain import check, data_set, sentence

    data, name = data_set(chosen.data)
    check(data, [])
    from tema_lib.experiment import Experiment
    from tema_lib.llm.store import ReplyStore, open_replies, reply_store_path
    from tema_lib.notebook import setup
    from tema_lib.tags.draft import refused_items
    from tema_lib.tags.evidence import coverage
    from tema_lib.tags.export import export_tags
    from tema_lib.tags.prompts import parse_tags
    from tema_lib.tags.write import write_tags

    setup()
    began, position = time.time(), chosen.store or reply_store_path()
    try:
        run = Experiment(data, domains=chosen.domains)
        config = run.tag_config
        chosen.out.mkdir(parents=True, exist_ok=True)  # before hours of work, not after
        llm = language_model(chosen.llm, chosen.dtype, dict(chosen.request))
        print(
            f"{name}: {run.items.count:,} items, {sum(map(bool, run.items.title)):,} with a title; the domains are called "
            f"{' and '.join(run.domains)}; {llm.name}, replies kept in {position}",
            flush=True,
        )
        with ReplyStore(chosen.store) if chosen.store else open_replies() as store:
            before = len(store)
            if chosen.again:
                store.forget_refusals(llm.fingerprint)
            tags = write_tags(run.catalogue, llm, store, config)
            asked, refused = (
                len(store) - before,
                refused_items(run.items, llm, store, config) if is_url(chosen.llm) else {},
            )
            if chosen.replies:
                store.export_jsonl(chosen.replies)
        report_refusals(refused, run.items)
        if not (tags.tag_ids > 0).any():
            sys.exit(why_no_tags(tags, run.items, llm.name))
        path = export_tags(
            tags,
            run.items,
            chosen.out,
            data=run.raw.name,
            sha256=run.raw.sha256,
            settings=llm.settings,
            config=config,
        )
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(sentence(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped. The replies so far are kept: the same command goes on from here.")
    unread = sum(
        bool(row) and all(parse_tags(reply) is None for reply in row)
        for item, row in enumerate(tags.raw_replies)
        if item not in refused
    )
    if unread:
        print(f"{unread:,} items got replies that are no lists of tags")
    for what, share in coverage(tags, config.domain_names, config.style).items():
        print(f"  {what:42} {share:.3f}")
    print(
        f"{len(tags.vocabulary) - 1} tags; {asked:,} questions asked in {time.time() - began:.0f} s\n{path}"
    )


if __name__ == "__main__":
    main()

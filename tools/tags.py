"""Tag every item of a data folder with a language model, and write the compact export that may be passed on.

    python tools/tags.py --data FOLDER [--llm NAME | FOLDER | OWNER/NAME | URL] [--out FOLDER] [--shops movie book] [--dtype bfloat16]
    make tags DATA=FOLDER [LLM=...] [OUT=FOLDER] [SHOPS="movie book"] [DTYPE=bfloat16]
    python tools/tags.py --data planted --out build/tags --store build/tags/planted.sqlite --replies data/planted/replies.jsonl

Every reply lies in build/tags/replies.sqlite as soon as it is there: stop the run whenever you like and start it again, nothing is
asked twice, and equal titles of two data sets are asked once. A URL is any OpenAI-compatible server; "#name" behind it
chooses its model, and a key, where it wants one, is read from the environment (TEMA_API_KEY).
"""
import argparse
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# Before torch: one thread repeats its numbers to the last digit; several, waiting, shall not spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="'planted', or a folder with interactions and items")
    parser.add_argument("--llm", default="smollm2-135m-instruct", help="a known name, a folder, a hub id, or the URL of a server")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "data" / "tags", help="where the export goes (default data/tags)")
    parser.add_argument("--shops", nargs=2, metavar=("A", "B"), default=("food", "kitchen"), help="how the prompt calls the two domains")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"),
                        help="bfloat16: faster where the processor has matrix units for it, with other words here and there")
    parser.add_argument("--store", type=pathlib.Path, help="where the replies are kept (default build/tags/replies.sqlite)")
    parser.add_argument("--replies", type=pathlib.Path, help="also write all replies of --store as JSON lines, to ship with a course; they hold the titles")
    chosen = parser.parse_args()
    if chosen.replies and not chosen.store:
        parser.error("--replies needs a --store of its own: the default one may hold titles of other data, which must not be passed on")
    chosen.store = chosen.store or ROOT / "build" / "tags" / "replies.sqlite"
    return chosen


def language_model(name, dtype):
    """A server for a URL, else a local model."""
    if name.startswith(("http://", "https://")):
        from tema_lib.tags.server import ServerModel
        url, _, model = name.partition("#")
        return ServerModel(url, model or None)
    from tema_lib.tags.llm import LocalModel
    return LocalModel(name, dtype=dtype)


def main():
    chosen = arguments()
    from chain import check, data_set

    data, name = data_set(chosen.data)
    check(data, [])
    from tema_lib.notebook import setup
    from tema_lib.pipeline import Pipeline
    from tema_lib.tags.evidence import coverage
    from tema_lib.tags.exports import export_tags
    from tema_lib.tags.store import ReplyStore
    from tema_lib.tags.writing import TagConfig, write_tags

    setup()
    began, config = time.time(), TagConfig(domain_names=tuple(chosen.shops))
    try:
        chosen.out.mkdir(parents=True, exist_ok=True)                    # before hours of work, not after
        run, llm = Pipeline(data), language_model(chosen.llm, chosen.dtype)
        print(f"{name}: {run.items.count:,} items, {sum(map(bool, run.items.title)):,} with a title; {llm.name}, replies kept in {chosen.store}", flush=True)
        with ReplyStore(chosen.store) as store:
            before = len(store)
            tags = write_tags(run.catalogue, llm, store, config)
            asked = len(store) - before
            if chosen.replies:
                store.export_jsonl(chosen.replies)
        path = export_tags(tags, run.items, chosen.out, data=run.raw.name, sha256=run.raw.sha256, settings=llm.settings, config=config)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped. The replies so far are kept: the same command goes on from here.")
    for what, share in coverage(tags, config.domain_names, config.form).items():
        print(f"  {what:42} {share:.3f}")
    print(f"{len(tags.vocabulary) - 1} tags; {asked:,} questions asked in {time.time() - began:.0f} s\n{path}")


if __name__ == "__main__":
    main()

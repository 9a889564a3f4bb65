"""`tema serve`: an exported folder over HTTP."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec

from tema_lib.commands.output import sentence
from tema_lib.serving.predictor import load


def main(chosen: argparse.Namespace) -> None:
    """Read the folder, and answer until Ctrl-C."""
    if not (find_spec("fastapi") and find_spec("uvicorn")):
        sys.exit("The service needs more packages: pip install 'tema-lib[serve]'.")
    import uvicorn

    from tema_lib.serving.service import application

    try:
        predictor = load(chosen.folder)
    except (ValueError, OSError) as error:
        sys.exit(sentence(error))
    address = f"http://{chosen.host}:{chosen.port}"
    print(f"{predictor}\n{address} (its questions: {address}/docs); Ctrl-C ends it", flush=True)
    # The log of a service that keeps no histories holds none: of each request nothing is written.
    uvicorn.run(
        application(predictor),
        host=chosen.host,
        port=chosen.port,
        log_level="warning",
        access_log=False,
        server_header=False,
    )

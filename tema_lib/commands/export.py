"""`tema export`: a trained system as a folder that recommends by itself."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec

from tema_lib.commands.common import check_system, use_own_artifacts
from tema_lib.commands.output import say, sentence, shown
from tema_lib.models.systems import system_named
from tema_lib.reproducibility import seed_everything
from tema_lib.serving import portable
from tema_lib.serving.folder import export_model
from tema_lib.serving.predictor import load
from tema_lib.workspace import home


def main(chosen: argparse.Namespace) -> None:
    """Train the system where it is not yet, write its folder, and read it once."""
    if chosen.onnx and not (find_spec("onnx") and find_spec("onnxscript")):
        sys.exit("An ONNX program needs more packages: pip install 'tema-lib[portable]'.")
    seed_everything(chosen.seed)
    experiment, remarks = check_system(chosen)
    say("Look at", remarks)
    use_own_artifacts(experiment)
    system = system_named(chosen.system)
    folder = chosen.out or home() / "export" / f"{experiment.name}-{system}-{chosen.seed}"
    try:
        export_model(experiment, experiment.train(system), system, folder)
    except (ValueError, OSError) as error:
        sys.exit(sentence(error))
    predictor = load(folder)
    if chosen.torch:
        portable.torch_program(predictor, folder / "model.pt2")
    if chosen.onnx:
        portable.onnx_program(predictor, folder / "model.onnx")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{predictor}\n{shown(folder)}/, {size / 1e6:.1f} MB")

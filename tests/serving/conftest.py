"""An exported model of the synthetic data, as it is built: what it has learned does not matter."""

import pytest

from tema_lib.experiment import Experiment
from tema_lib.serving.folder import export_model


@pytest.fixture(scope="package")
def run():
    return Experiment("synthetic", replies="export", options={"hidden": 16})


@pytest.fixture(scope="package")
def models(run):
    """{system: the model}, which know what training has seen."""
    built = {name: run.build(name) for name in ("tema", "tema-no-tags", "sasrec")}
    for model in built.values():
        model.fit_statistics(run.split.train)
    return built


@pytest.fixture(scope="package")
def exported(run, models, tmp_path_factory):
    """{system: its folder}."""
    scratch = tmp_path_factory.mktemp("exports")
    return {name: export_model(run, model, name, scratch / name) for name, model in models.items()}

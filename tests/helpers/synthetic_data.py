"""The synthetic data set, read once."""

from pathlib import Path

from tema_lib.datasets.load import read_data

SYNTHETIC = read_data(Path(__file__).resolve().parents[2] / "data" / "synthetic")

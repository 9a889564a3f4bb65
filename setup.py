"""What pyproject.toml cannot say: `data/` of the checkout becomes a part of the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["tema_lib*"]), "tema_lib.shipped"],
    package_dir={"tema_lib.shipped": "data"},
)

"""The book: how Sphinx makes one site of the notebooks, the docs and the docstrings (`tema book`).

The source folder is the checkout, so that every relative link means the same here and there.
"""

import json

from tema_lib import __version__
from tema_lib.commands.book import as_written, copy_mathjax, without_controls

project = "TEMA-LLM, reproduced"
author = "The TEMA-LLM reproduction authors"
version = release = __version__
html_title = project
html_copy_source = html_show_copyright = html_show_sphinx = False

root_doc = "docs/index"
include_patterns = ["*.md", "notebooks/*.ipynb", "docs/**", "results/*.md", "data/tags/README.md"]
exclude_patterns = ["build", ".*", "**/.ipynb_checkpoints", "docs/conf.py"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]

# Notebooks: what is committed is shown, nothing is run.
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

# Docstrings: Google style, with code in single backquotes.
default_role = "literal"
smartquotes_action = "D"  # dashes alone: "" is an empty text, not a quotation
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 170
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Fields", "params_style")]

html_theme = "sphinx_book_theme"
html_theme_options = {"show_toc_level": 2, "use_download_button": False, "navbar_persistent": []}
html_context = {"default_mode": "auto"}
html_static_path = ["book.css"]
html_css_files = ["book.css"]
html_use_index = html_domain_indices = False
html_show_search_summary = False  # it would fetch the pages, which a browser refuses from a folder
mathjax_path = "mathjax/tex-chtml-full.js"


def setup(app):
    app.connect("source-read", show_explorers)
    app.connect("autodoc-process-signature", without_factories)
    app.connect("autodoc-process-docstring", as_written, priority=400)  # before napoleon
    app.connect("build-finished", finish)


def show_explorers(app, name, content):
    if app.env.doc2path(name).suffix == ".ipynb":
        content[0] = json.dumps(without_controls(json.loads(content[0])))


def without_factories(app, what, name, thing, options, arguments, returned):
    if arguments and "<factory>" in arguments:  # no Python, so Sphinx would misread it
        return arguments.replace("<factory>", "..."), returned
    return None


def finish(app, error):
    copy_mathjax(app.outdir / "_static" / "mathjax")
    first = '<meta http-equiv="refresh" content="0; url=docs/index.html">\n'
    (app.outdir / "index.html").write_text(first, encoding="utf-8")

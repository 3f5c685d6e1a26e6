"""Settings of the documentation site: ``sphinx-build -W -n --keep-going docs build/site``.

A build needs the extra ``docs`` and no network.
"""

import os
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import deltaloop

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_extensions"))
os.environ["MPLBACKEND"] = "Agg"

project = "deltaloop"
author = "The deltaloop authors"
copyright = f"2026, {author}"
version = release = deltaloop.__version__
language = "en"

extensions = [
    "docstrings",
    "markup",
    "mathml",
    "myst_parser",
    "numpydoc",
    "repository",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
# A name in single backticks is code, as in Markdown.
default_role = "code"
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_*", "gallery", "sg_execution_times.rst"]

# ---- pages ----

# Anchors are those of the headings in a repository's viewer.
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]
# Two hyphens begin an option of a command, and straight quotes are part of commands: they stay.
smartquotes = False
math_renderer = html_math_renderer = "mathml"
# A lexer that does not know a word of a listing is no fault of the page.
suppress_warnings = ["misc.highlighting_failure"]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

# ---- docstrings ----

# Docstrings tell the types in words; annotations name aliases that nobody imports.
autodoc_typehints = "none"
# PyTorch is large, and its few classes here are described without it too.
OPTIONAL = ("torch", "mpi4py")
autodoc_mock_imports = [name for name in OPTIONAL if find_spec(name) is None]
autodoc_member_order = "groupwise"
autodoc_class_signature = "mixed"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# ---- the gallery ----

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("deltaloop",),
    "backreferences_dir": None,
    "show_memory": False,
    "min_reported_time": 0,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "image_srcset": ["2x"],
    "copyfile_regex": r".*\.csv",
}
# A script that warns teaches a bad habit: with -W its warning fails the build.
warnings.filterwarnings("error", module=r"__main__|plot_.*")

# ---- HTML ----

html_theme = "pydata_sphinx_theme"
html_title = f"deltaloop {version}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_js_files = [("names.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "deltaloop"},
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "collapse_navigation": True,
    "navigation_with_keys": True,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "article_header_start": ["breadcrumbs"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "search_bar_text": "Search the docs",
}

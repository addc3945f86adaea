"""How `make docs` builds the site: every page in Markdown, a warning is an error, nothing comes from the network."""

project = "Weathervane"
copyright = "the Weathervane authors"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["contracts"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = True
html_theme = "furo"
html_title = "Weathervane"
html_show_sphinx = False
html_copy_source = False

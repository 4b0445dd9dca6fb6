"""The site keeps the paths of the repository, so that each link in a page holds in both.

Beside what lies in docs/, the site has whatever else pages link to: README as its first page, and the like.
"""

import re
from pathlib import Path

from mkdocs.structure.files import File, Files

LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def on_files(files, config):
    """Files of docs/ under `docs/`, and those that they link to; the theme's stay where they are."""
    root = Path(config.config_file_path).parent
    own = {f"docs/{file.src_uri}" for file in files if file.src_dir == config.docs_dir}
    waiting = {"README.md", *(path for path in own if path.endswith(".md"))}
    while waiting:
        page = waiting.pop()
        own.add(page)
        targets = LINK.findall((root / page).read_text("utf-8")) if page.endswith(".md") else ()
        linked = {(root / page).parent.joinpath(target).resolve() for target in targets}
        waiting |= {path.relative_to(root).as_posix() for path in linked if path.is_file()} - own
    made = [File(path, str(root), config.site_dir, config.use_directory_urls) for path in sorted(own)]
    return Files([*made, *(file for file in files if file.src_dir != config.docs_dir)])

"""Adds to the documentation site what lies outside of docs/: the README as its first page, other pages, files of deploy/.

MkDocs loads this file (`hooks` in mkdocs.yml). The same documents are read in the repository, where links such as
`../CHANGELOG.md` are right; in the site those files are copied next to the pages, so the links are adapted.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages and files that lie outside of docs/."""
    for source, target in PAGES.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_text(encoding="utf-8")))
    for path in [*sorted((ROOT / "deploy").rglob("*")), ROOT / "LICENSE", ROOT / "openapi" / "openapi.json"]:
        if path.is_file():
            name = "openapi.json" if path.name == "openapi.json" else str(path.relative_to(ROOT))
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001  (MkDocs calls it by these names)
    """Adapt links that leave docs/, and those of the README, which lies above it."""
    if page.file.src_uri in PAGES.values():
        return re.sub(r'(\]\(|src=")docs/', r"\1", markdown)
    up = page.file.src_uri.count("/")
    markdown = markdown.replace("](" + "../" * (up + 1) + "README.md", "](" + "../" * up + "index.md")
    return re.sub(
        r"\]\((?:\.\./)+(?=(?:CHANGELOG|CONTRIBUTING|SECURITY|LICENSE|deploy|openapi)\b)",
        lambda _: "](" + "../" * up,
        markdown,
    )


def on_post_build(*, config: MkDocsConfig) -> None:
    """Fail on a picture that is not in the site: MkDocs checks only links that are written in Markdown."""
    site = Path(config.site_dir)
    for page in sorted(site.rglob("index.html")):
        for source in re.findall(r'<img\s[^>]*?src="([^":]+)"', page.read_text(encoding="utf-8")):
            if not (page.parent / source).is_file():
                raise PluginError(f"{page.relative_to(site)} shows {source}, which is not in the site")

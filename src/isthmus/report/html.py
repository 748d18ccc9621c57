"""The report of a study: one HTML file that opens offline, asks for nothing, and runs no script but its own.

Every text from outside passes the template's escaping; drawings are SVG; the content policy forbids every request, and
admits exactly the script and the style sheet of this page by their hashes. Without the script all is there to read.
"""

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from isthmus import __version__
from isthmus.answers.words import Words
from isthmus.durable import whole
from isthmus.report.figures import plain
from isthmus.report.page import page
from isthmus.report.profile import section
from isthmus.study.profile import Profile
from isthmus.study.store import environment

JINJA = Environment(
    loader=PackageLoader("isthmus.report", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def unbroken(text: str) -> Markup:
    """A sentence or a command, escaped, whose options stay whole: browsers break a line behind every hyphen.

    Examples
    --------
    >>> print(unbroken("a < b: use --dry-run"))
    a &lt; b: use <span class="option">--dry-run</span>
    """
    return Markup(OPTION.sub(r'<span class="option">\g<0></span>', str(escape(text))))


JINJA.filters["unbroken"] = unbroken


def write(study: Any, path: str | os.PathLike[str], lang: str = "en") -> Path:
    """Write the report of a study, or of the half of it that is finished.

    Parameters
    ----------
    study : Study
        A study folder as :class:`isthmus.api.study.Study` reads it.
    path : path
        The HTML file to write. It is there whole or not at all.
    lang : {"en", "zh"}
        The language of the report.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    BadInput
        If ``lang`` is not one of the languages.
    BadEnvironment
        If the file cannot be written.
    """
    return put_page(render(study, lang), path)


def write_profile(profile: Profile, name: str, path: str | os.PathLike[str], lang: str = "en") -> Path:
    """Write a page of what is known of data called ``name``; the rest as in :func:`write`."""
    t = Words(lang)
    found = section(profile, name, t)
    content = {"title": t("profile.page", data=plain(name, 80)), "facts": found["title"], "notices": []}
    return put_page(filled("profile.html", t, content | {"profile": found}), path)


def put_page(text: str, path: str | os.PathLike[str]) -> Path:
    """Write a page: whole or not at all."""
    target = Path(path)
    with environment(target.parent):
        whole(target, text.encode("utf-8"))
    return target


def render(study: Any, lang: str = "en") -> str:
    """The report as text. The same study folder gives the same text, byte for byte."""
    t = Words(lang)
    return filled("report.html", t, page(study, t))


def filled(name: str, t: Words, content: Mapping[str, Any]) -> str:
    """A page from a template, with our style sheet and our one script."""
    style, script = template("style.css"), template("page.js")
    return JINJA.get_template(name).render(
        t=t,
        version=__version__,
        policy=policy([script], [style]),
        style=Markup(style),
        script=Markup(script),
        **content,
    )


def policy(scripts: list[str], styles: list[str]) -> str:
    """The content policy: no request at all; scripts and style sheets only those whose hashes it names."""
    return (
        f"default-src 'none'; script-src {' '.join(map(_source, scripts))}; "
        f"style-src {' '.join(map(_source, styles))}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _source(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode('utf-8')).digest()).decode('ascii')}'"


def template(name: str) -> str:
    """The text of a file among the templates."""
    return resources.files("isthmus.report").joinpath("templates", name).read_text(encoding="utf-8")

"""The report of a study: one HTML file that opens offline, asks for nothing, and runs no script but its own.

Every text from outside passes the template's escaping; numbers for the drawings lie in a JSON block whose ``<``, ``>``
and ``&`` are written as escapes; the content policy forbids every request, and admits exactly the scripts and styles of
this page by their hashes.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from isthmus import __version__
from isthmus.answers.words import Words
from isthmus.durable import whole
from isthmus.report.page import page
from isthmus.study.store import environment

JINJA = Environment(
    loader=PackageLoader("isthmus.report", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


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


def put_page(text: str, path: str | os.PathLike[str]) -> Path:
    """Write a page: whole or not at all."""
    target = Path(path)
    with environment(target.parent):
        whole(target, text.encode("utf-8"))
    return target


def render(study: Any, lang: str = "en") -> str:
    """The report as text. The same study folder gives the same text, byte for byte."""
    t = Words(lang)
    content = page(study, t)
    style, draw = template("style.css"), template("draw.js")
    plotly, plotly_style = _plotly(), template("plotly.css")
    return JINJA.get_template("report.html").render(
        t=t,
        version=__version__,
        policy=policy([plotly, draw], [style, plotly_style]),
        style=Markup(style),
        plotly_style=Markup(plotly_style),
        plotly=Markup(plotly),
        draw=Markup(draw),
        **content | {"figures": Markup(data_block(content["figures"]))},
    )


def still(name: str, t: Words, content: Mapping[str, Any]) -> str:
    """A page without drawings by script, from a template."""
    style = template("style.css")
    return JINJA.get_template(name).render(
        t=t, version=__version__, policy=policy([], [style]), style=Markup(style), **content
    )


def policy(scripts: list[str], styles: list[str]) -> str:
    """The content policy: no request at all; scripts and style sheets only those whose hashes it names.

    Single ``style`` attributes stay allowed, because plotly sets them while it draws; they run nothing and, with no
    other source allowed, load nothing.
    """
    return (
        f"default-src 'none'; script-src {' '.join(map(_source, scripts))}; "
        f"style-src-elem {' '.join(map(_source, styles))}; style-src-attr 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def data_block(value: Mapping[str, Any] | list[Any]) -> str:
    """JSON that no HTML parser can leave: ASCII only, and neither ``<`` nor ``>`` nor ``&``.

    Examples
    --------
    >>> data_block(["</script>"])
    '["\\\\u003c/script\\\\u003e"]'
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _source(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode('utf-8')).digest()).decode('ascii')}'"


def template(name: str) -> str:
    """The text of a file among the templates."""
    return resources.files("isthmus.report").joinpath("templates", name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Plotly's own script from the installed package; nothing in it may end the script element early."""
    text = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    return text.replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")

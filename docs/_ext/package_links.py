"""Link code such as `pg.build_glm(...)` in a page to its entry in the reference."""

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

NAME = re.compile(r"pg\.([A-Za-z_][\w.]*\w)")
FIELD = re.compile(r"^Alias for field number \d+$")
OF_PYMC = {"rv_op", "rv_type"}  # fields of its distributions


class LinkNames(SphinxTransform):
    """Turn names of the package that are set as code into cross references."""

    default_priority = 900

    def apply(self, **kwargs: Any) -> None:
        """Turn the names of one page into cross references, except those that are links already."""
        for literal in list(self.document.findall(nodes.literal)):
            found = NAME.match(literal.astext())
            if found is None or isinstance(literal.parent, nodes.reference | addnodes.pending_xref):
                continue
            link = addnodes.pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=f"pymc_glm.{found.group(1)}",
                refexplicit=True,
                refdoc=self.env.docname,
                refwarn=True,
            )
            literal.replace_self(link)
            link += literal


def leave_out(
    app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object
) -> bool | None:
    """Skip PyMC's protocol, and fields of named tuples, which class docstrings describe."""
    hidden = name in OF_PYMC or FIELD.match(getattr(thing, "__doc__", None) or "")
    return True if hidden else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform and the filter."""
    app.add_transform(LinkNames)
    app.connect("autodoc-skip-member", leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

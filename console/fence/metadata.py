"""What `-o metadata` says: the parameters and actions, as XML."""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from console.fence.options import ACTIONS, OPTIONS, Option

_LONG = """\
fence_pimedic switches the PoE port of a Raspberry Pi through pimedic: the running supervisor, or
the same safety layer in its place while it is down. A reboot that is repeated within the
supervisor's cool-down, as callers do, reports the one that was done and cuts nothing again. A node
that was fenced with off stays off until on. Protected ports are refused."""


def metadata() -> str:
    """Return the document."""
    root = Element("resource-agent", name="fence_pimedic", shortdesc="Fence agent for pimedic")
    SubElement(root, "longdesc").text = _LONG
    SubElement(root, "vendor-url").text = "https://www.ntua.gr"
    parameters = SubElement(root, "parameters")
    for option in OPTIONS:
        _parameter(parameters, option)
        if option.obsoletes:
            _parameter(parameters, option, deprecated=True)
    actions = SubElement(root, "actions")
    for action in ACTIONS:
        SubElement(actions, "action", {"name": action})
    indent(root)
    return f'<?xml version="1.0" ?>\n{tostring(root, encoding="unicode")}\n'


def _parameter(parent: Element, option: Option, *, deprecated: bool = False) -> None:
    said = {
        "name": option.obsoletes if deprecated else option.name,
        "unique": "0",
        "required": str(int(option.required)),
    }
    if deprecated:
        said["deprecated"] = "1"
    elif option.obsoletes:
        said["obsoletes"] = option.obsoletes
    made = SubElement(parent, "parameter", said)
    SubElement(made, "getopt", mixed=option.getopt)
    default = {"default": option.default} if option.default else {}
    SubElement(made, "content", {"type": option.kind} | default)
    SubElement(made, "shortdesc", lang="en").text = option.text

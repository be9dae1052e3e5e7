"""What can go wrong with a lab that its user should hear of in one line."""


class LabError(Exception):
    """The lab can't do what was asked. Its text is for the user; no traceback is wanted."""


class MisuseError(LabError):
    """What was asked makes no sense: an unknown node or fault, an impossible address."""

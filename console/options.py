"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Url = Annotated[str, Parameter(name="--supervisor", help="The supervisor's URL.")]
TokenFile = Annotated[Path | None, Parameter(name="--token-file", help="File with your token.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
Reason = Annotated[str, Parameter(name="--reason", help="Why; shown to everybody.")]

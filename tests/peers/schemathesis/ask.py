"""Asks a running server everything that its description allows, and much that it does not.

    ask.py MODULES ADDRESS [more options of schemathesis]

MODULES is the folder that `cargo xtask fuzzer` prints, ADDRESS that of the server: http://127.0.0.1:8080. The run is the same
each time (no chance, no database of examples), sends nothing elsewhere, and leaves no files. It ends with another code than 0
if an answer is a server's error or not as described.
"""

import os
import pathlib
import sys
import tempfile

if len(sys.argv) < 3:
    sys.exit(__doc__)
modules, address, *more = sys.argv[1:]
sys.path.insert(0, modules)
here = pathlib.Path(__file__).resolve().parent

# What it keeps, it keeps where it is thrown away.
os.chdir(tempfile.mkdtemp(prefix="stave-fuzzer-"))
for name in list(os.environ):
    if name.lower().endswith("_proxy") or name.startswith("SCHEMATHESIS_"):
        del os.environ[name]

from schemathesis.cli import schemathesis  # noqa: E402

options = ["--config-file", str(here / "schemathesis.toml"), "--no-color", "run", address.rstrip("/") + "/openapi.json"]
options += ["--generation-deterministic", "--request-timeout", "30"]
schemathesis(options + ["--continue-on-failure", *more])

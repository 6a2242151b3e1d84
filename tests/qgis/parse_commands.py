"""Run by the engine's Python: read command lines, one a line as JSON lists of words; print the jobs they mean."""

import json
import sys

from wsss_geo.api import build_job
from wsss_geo.cli import main
from wsss_geo.job_fields import MAPPING_OPTIONS

for line in sys.stdin:
    program, name, *words = json.loads(line)
    context = main.commands[name].make_context(name, words)
    options = {k: v for k, v in context.params.items() if k not in ("progress", "debug") and v not in (None, ())}
    given = {k: dict(v) if k in MAPPING_OPTIONS else v for k, v in options.items()}
    print(json.dumps([program, build_job(name, given).to_json()]))

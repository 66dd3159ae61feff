"""Jobs: data, fits, comparisons and outputs, written down in a YAML file."""

from streamreg.jobs.job import Job, load
from streamreg.jobs.plan import Plan, plan
from streamreg.jobs.result import JobResult
from streamreg.jobs.run import run, run_job

__all__ = ["Job", "JobResult", "Plan", "load", "plan", "run", "run_job"]

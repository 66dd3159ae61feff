"""Which engine an option names."""

import pytest

from streamreg.engines.choose import choose
from streamreg.engines.serial import Serial
from streamreg.engines.threads import Threads
from streamreg.errors import UsageError


def test_engines_are_chosen_by_name_and_what_is_none_is_refused():
    assert isinstance(choose(), Threads)
    assert choose(threads=3).workers == 3
    assert isinstance(choose("serial"), Serial)
    for wrong in ("cloud", 3, object()):
        with pytest.raises(UsageError, match="engine"):
            choose(wrong)
    with pytest.raises(UsageError, match="there is none"):
        choose("dask")
    with pytest.raises(UsageError, match="leave out threads"):
        choose("serial", 2)


@pytest.mark.filterwarnings("ignore")  # of the client, whose connection is refused
def test_a_scheduler_that_is_not_there_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr("streamreg.engines.choose._PATIENCE", "0.3s")
    with pytest.raises(UsageError, match="no Dask scheduler answers"):
        choose("tcp://127.0.0.1:9")

import pytest

from rllab.host import memory


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with so much free, and a container that allows and uses so much."""

    def make(free=None, limit=None, used=0, droppable=0):
        if free is not None:
            (tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable:   {free // 1024} kB\n")
        if limit is not None:
            (tmp_path / "memory.max").write_text(f"{limit}\n")
            (tmp_path / "memory.current").write_text(f"{used}\n")
            (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {droppable}\n")
        monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
        monkeypatch.setattr(memory, "_CGROUP", tmp_path)

    return make


def test_there_is_some_here():
    assert memory.available_memory() > 2**20


def test_of_the_machine(machine):
    machine(free=2**30)
    assert memory.available_memory() == 2**30


def test_of_a_container_that_allows_less(machine):
    machine(free=2**30, limit=1000, used=300, droppable=50)
    assert memory.available_memory() == 750


def test_of_a_container_without_a_limit(machine):
    machine(free=2**30, limit="max")
    assert memory.available_memory() == 2**30


def test_elsewhere_it_is_all_that_the_machine_has_or_unknown(machine, monkeypatch):
    machine()
    monkeypatch.setattr(memory.os, "sysconf", {"SC_PHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert memory.available_memory() == 40960
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.available_memory() is None


def test_sizes_for_people():
    assert [memory.gibibytes(n * 2**30) for n in (0.26, 1, 9.96, 40.2)] == ["0.3 GiB", "1.0 GiB", "10.0 GiB", "40 GiB"]

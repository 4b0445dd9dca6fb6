"""How many trials run at once, and what each may use."""

import pytest

from rllab.config import SearchResources
from rllab.errors import ConfigError
from rllab.search import slots
from rllab.search.slots import Slot, divide, make_slots

GPUS = ["0", "1"]


def named(found):
    return [slot.gpus for slot in found]


@pytest.mark.parametrize(
    ("cpu", "cpus", "number", "threads"),
    [
        (1, 4, 4, 1),
        (2, 4, 2, 2),
        (3, 4, 1, 3),
        (4, 4, 1, 4),
        (0.5, 4, 8, 1),
        (1.5, 4, 2, 1),
        (1.1, 33, 30, 1),  # 29.999999999999996 in floats
    ],
)
def test_cores_are_divided_and_each_trial_has_a_thread_per_whole_core(cpu, cpus, number, threads):
    assert divide(SearchResources(cpu=cpu), cpus=cpus, gpus=None, num_slots=None) == [Slot(threads, None)] * number


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [
        (1, ["0", "1"]),
        (0.5, ["0", "0", "1", "1"]),
        (0.4, ["0", "0", "1", "1"]),  # five at 0.4 would put one across both
        (0.3, ["0", "0", "0", "1", "1", "1"]),
        (0.1, ["0"] * 10 + ["1"] * 10),
        (0.6, ["0", "1"]),
        (2, ["0,1"]),
        (1.5, ["0,1"]),
    ],
)
def test_gpus_are_shared_whole(gpu, expected):
    assert named(divide(SearchResources(gpu=gpu), cpus=64, gpus=GPUS, num_slots=None)) == expected


def test_whole_gpus_are_not_shared_by_two_trials():
    four = ["0", "1", "2", "3"]
    assert named(divide(SearchResources(gpu=2), cpus=64, gpus=four, num_slots=None)) == ["0,1", "2,3"]
    assert named(divide(SearchResources(gpu=2), cpus=64, gpus=[*four, "4"], num_slots=None)) == ["0,1", "2,3"]


def test_the_scarcer_of_the_two_decides():
    assert named(divide(SearchResources(cpu=1, gpu=0.125), cpus=3, gpus=["0"], num_slots=None)) == ["0"] * 3
    assert named(divide(SearchResources(cpu=1, gpu=0.5), cpus=64, gpus=["0"], num_slots=None)) == ["0"] * 2


def test_gpus_keep_the_names_that_they_have():
    names = ["GPU-8f1c", "MIG-02ab"]
    assert named(divide(SearchResources(gpu=1), cpus=4, gpus=names, num_slots=None)) == names


def test_a_trial_that_asks_for_no_gpu_is_told_of_none():
    assert divide(SearchResources(gpu=0), cpus=2, gpus=GPUS, num_slots=None) == [Slot(1, None)] * 2


def test_a_machine_without_gpus_counts_its_cores():
    assert divide(SearchResources(gpu=0.125), cpus=2, gpus=[], num_slots=None) == [Slot(1, None)] * 2


class TestNumJobs:
    def test_wins_over_what_fits(self):
        assert divide(SearchResources(cpu=2), cpus=4, gpus=None, num_slots=5) == [Slot(2, None)] * 5
        assert divide(SearchResources(cpu=1), cpus=4, gpus=None, num_slots=1) == [Slot(1, None)]
        assert len(divide(SearchResources(cpu=64), cpus=4, gpus=None, num_slots=2)) == 2

    def test_goes_round_the_gpus(self):
        assert named(divide(SearchResources(gpu=0.5), cpus=64, gpus=GPUS, num_slots=6)) == [
            "0",
            "0",
            "1",
            "1",
            "0",
            "0",
        ]


class TestNoRoom:
    def test_on_the_cores(self):
        with pytest.raises(ConfigError) as error:
            divide(SearchResources(cpu=64), cpus=2, gpus=None, num_slots=None)
        assert str(error.value) == (
            "meta.search_resources.cpu: got 64, but this machine has 2 cores; "
            "write at most meta.search_resources.cpu=2, or hydra.sweeper.n_jobs for another machine"
        )

    def test_on_the_gpus(self):
        with pytest.raises(ConfigError) as error:
            divide(SearchResources(gpu=2), cpus=64, gpus=["0"], num_slots=None)
        assert str(error.value) == (
            "meta.search_resources.gpu: got 2, but this machine has 1 GPU; "
            "write at most meta.search_resources.gpu=1, or hydra.sweeper.n_jobs for another machine"
        )


class TestOfThisMachine:
    @pytest.fixture(autouse=True)
    def _machine(self, monkeypatch):
        monkeypatch.setattr(slots, "num_cpus", lambda: 3)
        monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a, GPU-b,7")  # of which the driver knows two

    def test_the_names_are_those_that_are_visible(self, monkeypatch):
        assert slots.visible_gpus() == ["GPU-a", "GPU-b"]
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        assert slots.visible_gpus() == ["0", "1"]

    @pytest.mark.parametrize("device", ["cuda", "auto"])
    def test_each_trial_sees_its_own(self, device):
        assert named(make_slots(SearchResources(gpu=1), device=device, num_slots=None)) == ["GPU-a", "GPU-b"]

    def test_on_the_cpu_no_gpu_counts(self):
        assert make_slots(SearchResources(gpu=1), device="cpu", num_slots=None) == [Slot(1, None)] * 3

    def test_a_gpu_chosen_by_number_is_shared_and_keeps_its_number(self):
        assert make_slots(SearchResources(gpu=0.5), device="cuda:1", num_slots=None) == [Slot(1, None)] * 2


def test_the_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 3, 5}, raising=False)
    assert slots.num_cpus() == 3

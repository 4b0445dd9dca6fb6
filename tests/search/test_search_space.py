"""What a multirun asks for: words, distributions by the type of the field, the grid, and the jobs that are checked."""

from itertools import product

import pytest
from omegaconf import OmegaConf, open_dict
from optuna.distributions import CategoricalDistribution as Choices
from optuna.distributions import FloatDistribution as Number
from optuna.distributions import IntDistribution as Integer
from optuna.distributions import distribution_to_json, json_to_distribution

from rllab import config
from rllab.errors import ConfigError
from rllab.search.space import read_space

SPACES = sorted(path.stem for path in (config.conf_dir() / "search").glob("*.yaml"))
SAMPLED = "meta.max_trial=4"


@pytest.fixture(scope="module")
def composed(multirun):
    """A config to enumerate from and one to sample from: what is composed does not depend on what is searched."""
    return {sampled: multirun(*([SAMPLED] if sampled else [])) for sampled in (False, True)}


@pytest.fixture
def read(composed):
    """`read("agent.lr=1e-3,3e-4")` -> the space of `-m agent.lr=1e-3,3e-4`; with `SAMPLED` among the words, sampled."""

    def space(*words, **params):
        cfg, loader = composed[SAMPLED in words]
        with open_dict(cfg.hydra):
            cfg.hydra.overrides.task = list(words)
            cfg.hydra.sweeper.params = params
        return read_space(cfg, loader)

    return space


def test_what_has_one_value_is_a_word_of_every_job(read):
    space = read("meta.seed=3", "agent.lr=1e-3,3e-4", "+env.kwargs.goal=1")
    assert space.fixed == ["meta.seed=3", "+env.kwargs.goal=1"]
    assert space.distributions == {"agent.lr": Choices((1e-3, 3e-4))}
    assert space.texts == {"agent.lr": "1e-3,3e-4"}
    assert space.words({"agent.lr": 3e-4}) == ["meta.seed=3", "+env.kwargs.goal=1", "agent.lr=0.0003"]


def test_the_last_word_for_a_field_counts(read):
    assert read("agent.lr=1e-3,3e-4", "agent.lr=1e-2").fixed == ["agent.lr=1e-2"]
    assert read("agent.lr=1e-3,3e-4", "agent.lr=1e-2").distributions == {}
    assert read("agent.lr=1e-2", "agent.lr=1e-3,3e-4").fixed == []
    assert read("agent.lr=1e-2,1", "agent.lr=1e-3,3e-4").texts == {"agent.lr": "1e-3,3e-4"}


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("agent.gamma=interval(0,1)", Number(0, 1)),
        ("agent.lr=interval(0,1)", Number(0, 1)),  # a number or the text of a schedule
        ("agent.target_kl=interval(0,1)", Number(0, 1)),  # a number or null
        ("agent.lr=tag(log,interval(1e-5,1e-2))", Number(1e-5, 1e-2, log=True)),
        ("agent.lr=tag(log,interval(1,10))", Number(1, 10, log=True)),
        ("agent.num_epochs=interval(0,1)", Integer(0, 1)),
        ("agent.num_epochs=interval(1.0,5.0)", Integer(1, 5)),
        ("agent.num_steps=tag(log,interval(16,256))", Integer(16, 256, log=True)),
        ("meta.rigorous_eval=interval(1,4)", Integer(1, 4)),  # an integer or null
        ("env.max_frame=interval(1e4,2e4)", Integer(10_000, 20_000)),
        ("agent.num_epochs=range(1,10,3)", Integer(1, 7, step=3)),  # Hydra's ranges end before 10: 1, 4, 7
        ("agent.gamma=range(0.9,0.99,0.03)", Number(0.9, 0.96, step=0.03)),
        ("agent.num_epochs=choice(4,10)", Choices((4, 10))),
        ("agent.gamma=0.9,0.99", Choices((0.9, 0.99))),
        ("env.kwargs={a:1},{a:2}", Choices(("{a:1}", "{a:2}"))),
        ("env=glob(mountaincar*)", Choices(("mountaincar", "mountaincar_continuous"))),
        ("+env.kwargs.speed=interval(0,1)", Number(0, 1)),  # no schema says
    ],
)
def test_the_type_of_the_field_decides(word, distribution, read):
    [(_, found)] = read(word, SAMPLED).distributions.items()
    assert (type(found), found) == (type(distribution), distribution)


@pytest.mark.parametrize(
    ("word", "choices"),
    [
        ("agent.num_epochs=range(1,10,3)", (1, 4, 7)),
        ("agent.gamma=range(0.7,1,0.1)", (0.7, 0.8, 0.9)),
        ("agent.num_epochs=range(3,0,-1)", (3, 2, 1)),
        ("agent.num_epochs=sort(3,1,2)", (1, 2, 3)),
    ],
)
def test_a_grid_is_made_of_choices(word, choices, read):
    [(_, found)] = read(word).distributions.items()
    assert found == Choices(choices)


def test_a_shuffled_grid_has_one_order_for_every_start(read):
    orders = [
        [point["agent.num_epochs"] for point in read("agent.num_epochs=shuffle(range(1,30))").points()] for _ in "ab"
    ]
    assert orders[0] == orders[1] != sorted(orders[0])
    assert sorted(orders[0]) == list(range(1, 30))


TYPED = {
    "agent.lr=1e-05,0.1,1": [1e-5, 0.1, 1],
    "agent.ent_coef=linear:1e-3:0,1e-3": ["linear:1e-3:0", 1e-3],
    "agent.target_kl=null,0.01": [None, 0.01],
    "agent.share_network=true,false": [True, False],
    "agent.hidden=[64,64],[128],[]": [[64, 64], [128], []],
    "agent.activation=tanh,relu": ["tanh", "relu"],
    "agent.num_epochs=choice(4,10)": [4, 10],
    "env.id=CartPole-v1,my_pkg:MyEnv-v0": ["CartPole-v1", "my_pkg:MyEnv-v0"],
    "+env.kwargs.a=1,1.5,true,one": [1, 1.5, True, "one"],
    "+env.kwargs.b='a b','c,d'": ["a b", "c,d"],
    "+env.kwargs.c=a\\,b,c\\=d": ["a,b", "c=d"],
    "+env.kwargs.d='null',null,'1',1,'true',''": ["null", None, "1", 1, "true", ""],
    "+env.kwargs.e='it\\'s','\"'": ["it's", '"'],
    "+env.kwargs.f={a:1},{a:[1,two],b:null}": [{"a": 1}, {"a": [1, "two"], "b": None}],
    "++env.kwargs.g=1,2": [1, 2],
}
"""What a person types, and what each job gets in turn."""


@pytest.mark.parametrize("how", [(), (SAMPLED,)], ids=["grid", "sampled"])
def test_hydra_reads_each_choice_back_as_it_was_typed(how, composed, read):
    """Job k gets the k-th choice of every field; the choices have gone through the text that a study keeps."""
    space = read(*TYPED, *how)
    stored = {name: json_to_distribution(distribution_to_json(d)) for name, d in space.distributions.items()}
    assert [len(d.choices) for d in stored.values()] == list(map(len, TYPED.values()))
    for turn in range(max(map(len, TYPED.values()))):
        words = space.words({name: d.choices[turn % len(d.choices)] for name, d in stored.items()})
        cfg, loader = composed[False]
        job = OmegaConf.to_container(loader.load_sweep_config(cfg, [w for w in words if w not in how]))
        for name, values in zip(stored, TYPED.values(), strict=True):
            found = job
            for key in name.split("."):
                found = found[key]
            expected = values[turn % len(values)]
            assert (type(found), found) == (type(expected), expected), name


def test_presets_are_chosen_as_they_were_typed(composed, read):
    space = read("env=cartpole,acrobot", "meta.seed=1")
    ids = [composed[False][1].load_sweep_config(composed[False][0], space.words(p)).env.id for p in space.points()]
    assert ids == ["CartPole-v1", "Acrobot-v1"]


def test_sampled_numbers_are_read_back_to_the_last_digit(composed, read):
    space = read("agent.lr=tag(log,interval(1e-5,1e-2))", "agent.num_epochs=interval(1,9)", SAMPLED)
    cfg, loader = composed[True]
    job = loader.load_sweep_config(cfg, space.words({"agent.lr": 1.2345678901234567e-05, "agent.num_epochs": 7}))
    assert (job.agent.lr, job.agent.num_epochs) == (1.2345678901234567e-05, 7)


class TestOfAPreset:
    @pytest.fixture
    def read(self, multirun):
        return lambda *words: read_space(*multirun(*words))

    def test_is_what_the_file_says(self, read):
        space = read("search=ppo", SAMPLED)
        written = OmegaConf.load(config.conf_dir() / "search" / "ppo.yaml").hydra.sweeper.params
        assert list(space.distributions) == list(written)
        assert space.texts == dict(written)
        assert space.distributions["agent.lr"] == Number(1e-5, 1e-2, log=True)
        assert space.distributions["agent.gae_lambda"] == Choices((0.8, 0.9, 0.95, 0.98, 1.0))

    def test_the_command_line_wins(self, read):
        space = read("search=ppo", SAMPLED, "agent.lr=1e-3", "agent.gamma=0.9,0.99", "agent.hidden=[64],[32]")
        assert "agent.lr=1e-3" in space.fixed
        assert "agent.lr" not in space.distributions
        assert space.distributions["agent.gamma"] == Choices((0.9, 0.99))
        assert "agent.hidden" in space.distributions

    @pytest.mark.parametrize("name", SPACES)
    def test_every_value_at_the_ends_trains(self, name, multirun):
        composed, loader = multirun(f"search={name}", f"agent={name}", SAMPLED)
        probes = list(read_space(composed, loader).probes(jointly=True))
        for words in probes:
            job = loader.load_sweep_config(composed, words)
            config.load(OmegaConf.masked_copy(job, ["meta", "env", "agent", "run_dir"]))
        assert len(probes) >= 2

    def test_of_another_agent_is_refused(self, read):
        with pytest.raises(ConfigError, match=r"^search=ppo: samples agent\.lr, which agent=random does not have; "):
            read("search=ppo", "agent=random", SAMPLED)


def test_values_of_a_preset_may_be_no_text(read):
    space = read(**{"agent.target_kl": None, "agent.share_network": True, "agent.lr": 0.1, "agent.hidden": [8]})
    assert space.fixed == ["agent.target_kl=null", "agent.share_network=True", "agent.lr=0.1", "agent.hidden=[8]"]


class TestGrid:
    def test_the_last_word_changes_fastest(self, read):
        points = read("agent.lr=1e-3,3e-4", "meta.seed=0,1,2").points()
        assert [(point["agent.lr"], point["meta.seed"]) for point in points] == [
            (1e-3, 0),
            (1e-3, 1),
            (1e-3, 2),
            (3e-4, 0),
            (3e-4, 1),
            (3e-4, 2),
        ]

    def test_of_nothing_is_one_job(self, read):
        assert read("meta.seed=3").points() == [{}]

    def test_needs_choices(self, read):
        with pytest.raises(ConfigError, match=r"grid cannot be made; add a number of trials, e\.g\. meta\.max_trial"):
            read("agent.lr=interval(0,1)")

    def test_of_the_grid_sampler_may_have_a_number_of_trials(self, multirun):
        cfg, loader = multirun("hydra/sweeper/sampler=grid", "meta.max_trial=9", "agent.num_epochs=range(1,4)")
        space = read_space(cfg, loader)
        assert space.points() == [{"agent.num_epochs": 1}, {"agent.num_epochs": 2}, {"agent.num_epochs": 3}]
        with open_dict(cfg.hydra):
            cfg.hydra.overrides.task = ["agent.lr=interval(0,1)"]
        with pytest.raises(ConfigError, match=r"grid cannot be made; write choices$"):
            read_space(cfg, loader)


class TestProbes:
    def test_a_small_grid_is_checked_whole(self, read):
        space = read("agent.num_epochs=1,2,3,4", "meta.seed=0,1,2,3", "agent.gamma=0.5")
        expected = [
            ["agent.gamma=0.5", f"agent.num_epochs={n}", f"meta.seed={s}"] for n, s in product((1, 2, 3, 4), range(4))
        ]
        assert list(space.probes()) == list(space.probes(jointly=True)) == expected  # 16 jobs

    def test_of_a_larger_one_each_value_is_tried(self, read):
        space = read("agent.num_epochs=1,2,3", "meta.seed=0,1", "agent.gamma=0.5,0.7,0.9")  # 18 jobs
        assert list(space.probes()) == [
            *([f"agent.num_epochs={value}"] for value in (1, 2, 3)),
            *([f"meta.seed={value}"] for value in (0, 1)),
            *([f"agent.gamma={value}"] for value in (0.5, 0.7, 0.9)),
        ]
        assert list(space.probes(jointly=True)) == [
            ["agent.num_epochs=1", "meta.seed=0", "agent.gamma=0.5"],
            ["agent.num_epochs=2", "meta.seed=1", "agent.gamma=0.7"],
            ["agent.num_epochs=3", "meta.seed=0", "agent.gamma=0.9"],
        ]

    def test_of_an_interval_both_ends_are_tried(self, read):
        space = read("agent.lr=interval(1e-4,1e-2)", "agent.num_epochs=range(1,10,3)", SAMPLED)
        assert list(space.probes()) == [
            [SAMPLED, "agent.lr=0.0001"],
            [SAMPLED, "agent.lr=0.01"],
            [SAMPLED, "agent.num_epochs=1"],
            [SAMPLED, "agent.num_epochs=7"],
        ]
        assert list(space.probes(jointly=True)) == [
            [SAMPLED, "agent.lr=0.0001", "agent.num_epochs=1"],
            [SAMPLED, "agent.lr=0.01", "agent.num_epochs=7"],
        ]

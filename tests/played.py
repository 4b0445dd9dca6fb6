"""Short runs of every algorithm, on each kind of space, for those who play them again."""

FAST = ["tuned=none", "meta.max_session=2", "meta.log_frequency=60", "env.num_envs=3", "env.max_frame=180"]
OFF_POLICY = ["agent.learning_starts=40", "agent.batch_size=8", "agent.buffer_size=150", "agent.hidden=[8]"]
ROLLOUT = ["agent.num_steps=10", "agent.num_minibatches=2"]
PPO = ["agent=ppo", *ROLLOUT, "agent.normalize_obs=true"]
IMAGES = "env.id=probes:BrightSide-v0"
NUMBERS = "env.id=probes:RewardByObs-v0"
BOX = "env.id=probes:box-v0"  # actions of [-2, 1] x [0, 10]
CASES = {
    "random": ["agent=random", BOX],
    "ppo": [*PPO, NUMBERS],
    "ppo, CartPole": [*PPO, "env.id=CartPole-v1"],
    "ppo, box": [*PPO, BOX],
    "ppo, multi-discrete": [*PPO, "env.id=probes:multi_discrete-v0"],
    "ppo, multi-binary": [*PPO, "env.id=probes:multi_binary-v0"],
    "ppo, images": ["agent=ppo", *ROLLOUT, "agent.share_network=true", IMAGES],
    "ppo, own network": [*PPO, "agent.network=probes:HalfFrozen", NUMBERS],
    "ppo, flattened": [*PPO, "env.id=FrozenLake-v1", "env.max_frame=600"],
    "ppo, memory": [*PPO, "agent.memory=lstm", "agent.memory_size=6", "agent.memory_length=5", "env.id=CartPole-v1"],
    "a2c, memory": ["agent=a2c", "agent.memory=gru", "agent.memory_layers=2", "agent.memory_at=before", BOX],
    "a2c": ["agent=a2c", "agent.num_steps=5", BOX],
    "reinforce": ["agent=reinforce", "agent.num_steps=20", NUMBERS],
    "sarsa": ["agent=sarsa", "agent.num_steps=5", NUMBERS],
    "dqn": ["agent=dqn", *OFF_POLICY, NUMBERS],
    "dqn, images": ["agent=dqn", *OFF_POLICY, IMAGES],
    "ddqn_per": ["agent=ddqn_per", *OFF_POLICY, NUMBERS],
    "dueling_dqn": ["agent=dueling_dqn", *OFF_POLICY, "agent.exploration=boltzmann", NUMBERS],
    "qrdqn": ["agent=qrdqn", *OFF_POLICY, NUMBERS],
    "sac": ["agent=sac", *OFF_POLICY, BOX],
    "sac, discrete": ["agent=sac", *OFF_POLICY, NUMBERS],
    "td3": ["agent=td3", *OFF_POLICY, BOX],
    "tqc": ["agent=tqc", *OFF_POLICY, BOX],
    "crossq": ["agent=crossq", *OFF_POLICY, "agent.critic_hidden=[8]", BOX],
    "crossq, discrete": ["agent=crossq", *OFF_POLICY, "agent.critic_hidden=[8]", NUMBERS],
}

// From observations to actions, for one step or, where the envs are `classic_control.cpp`'s, for many in one call.
#include <chrono>

#include "network.hpp"

namespace {

enum Choice { LARGEST, EPSILON_GREEDY, REAL };
typedef void (*StepRows)(const void*, long, long, const void*, float*, double*, uint8_t*, uint8_t*);

}  // namespace

extern "C" {

struct Actor {
    int sessions, envs, obs_size, outputs, first_output, num_actions, num_layers, choice;
    int quantiles;  // outputs of each action, which stand for their mean
    const Layer* layers;
    const float *mean, *var;  // [S, obs_size] of a normaliser, or null
    float clip;
};

struct Draws {
    const float* noise;  // [steps, S, N, width]
    int width;
    const double* level;  // [steps]: probability of a random action
};

struct Scale {  // from an agent's real actions to the env's, as `rllab.envs.actions.scaled`
    const float *offset, *scale, *agent_low, *agent_high, *low, *high;
};

struct Steps {
    int steps;
    const Scale* scale;
    const void* rows;
    StepRows step_rows;
    double* returns;  // of the present episodes, [S, N]
    int64_t* lengths;
    uint8_t* was_done;  // in the latest step, [S, N]
    // what is given: [steps, S, N, ...], and one more of obs, whose first is the present one
    float* obs;
    void* action;
    float* reward;
    uint8_t *terminated, *truncated;
    // episodes that ended: their place in [steps, N], for each session as many as there can be
    int64_t *num_ended, *ended_at, *ended_lengths;
    double *ended_returns, *env_seconds;
};
}

namespace {

struct Mind {  // one session's policy, ready to act
    const Actor& actor;
    int session;
    Network net;
    std::vector<float> x, mean, scale;

    Mind(const Actor& a, int s) : actor(a), session(s), net(a.layers, a.num_layers, s, a.envs), x(size_t(a.envs) * a.obs_size + W) {
        net.pack();
        if (!a.mean) return;
        for (int i = 0; i < a.obs_size; ++i) {
            mean.push_back(a.mean[long(s) * a.obs_size + i]);
            scale.push_back(std::sqrt(a.var[long(s) * a.obs_size + i] + 1e-8f));
        }
    }

    void act(const float* obs, const float* noise, int width, double level, void* action) {
        const Actor& a = actor;
        for (long i = 0; i < long(a.envs) * a.obs_size; ++i) {
            float value = obs[i];
            if (a.mean) {
                value = (value - mean[i % a.obs_size]) / scale[i % a.obs_size];
                value = value < -a.clip ? -a.clip : value > a.clip ? a.clip : value;
            }
            x[i] = value;
        }
        const float* out = net.forward(x.data(), a.envs);
        for (int row = 0; row < a.envs; ++row) {
            const float *o = out + long(row) * a.outputs + a.first_output, *z = noise + long(row) * width;
            if (a.choice == REAL) {
                float* real = static_cast<float*>(action) + long(row) * a.num_actions;
                for (int i = 0; i < a.num_actions; ++i) real[i] = o[i] + z[i];
                continue;
            }
            const bool at_random = a.choice == EPSILON_GREEDY && z[0] < level;
            static_cast<int64_t*>(action)[row] = at_random ? int(z[1] * a.num_actions) : largest(a.num_actions, [&](int i) {
                float value = a.choice == LARGEST ? z[i] : 0.f;
                for (int q = 0; q < a.quantiles; ++q) value += o[i * a.quantiles + q] / a.quantiles;
                return value;
            });
        }
    }
};

void collect_session(const Actor& a, const Draws& draws, const Steps& c, int s) {
    typedef std::chrono::steady_clock Clock;
    Mind mind(a, s);
    const long N = a.envs, R = long(a.sessions) * N, first = s * N, size = a.choice == REAL ? 4 * a.num_actions : 8;
    std::vector<double> reward(R);
    std::vector<float> scaled(a.choice == REAL ? R * a.num_actions : 0);
    Clock::duration in_envs{};
    long ended = 0;
    for (long t = 0; t < c.steps; ++t) {
        float *obs = c.obs + (t * R + first) * a.obs_size, *next = c.obs + (t + 1) * R * a.obs_size;
        char* action = static_cast<char*>(c.action) + t * R * size;
        mind.act(obs, draws.noise + (t * R + first) * draws.width, draws.width, draws.level ? draws.level[t] : 0, action + first * size);
        const void* told = action;
        if (a.choice == REAL) {
            const float* real = reinterpret_cast<const float*>(action);
            const Scale& k = *c.scale;
            for (long i = first * a.num_actions; i < (first + N) * a.num_actions; ++i) {
                const int j = i % a.num_actions;
                float value = real[i] < k.agent_low[j] ? k.agent_low[j] : real[i] > k.agent_high[j] ? k.agent_high[j] : real[i];
                value = k.offset[j] + k.scale[j] * value;
                scaled[i] = value < k.low[j] ? k.low[j] : value > k.high[j] ? k.high[j] : value;
            }
            told = scaled.data();
        }
        const auto start = Clock::now();
        c.step_rows(c.rows, first, first + N, told, next, reward.data(), c.terminated + t * R, c.truncated + t * R);
        in_envs += Clock::now() - start;
        for (long i = first; i < first + N; ++i) {
            c.returns[i] = c.was_done[i] ? 0.0 : c.returns[i] + reward[i];  // a row that only resets is no step
            c.lengths[i] = c.was_done[i] ? 0 : c.lengths[i] + 1;
            c.reward[t * R + i] = float(reward[i]);
            c.was_done[i] = c.terminated[t * R + i] || c.truncated[t * R + i];
            if (!c.was_done[i]) continue;
            const long place = s * c.steps * N + ended++;
            c.ended_at[place] = t * N + i - first;
            c.ended_returns[place] = c.returns[i];
            c.ended_lengths[place] = c.lengths[i];
        }
    }
    c.num_ended[s] = ended;
    c.env_seconds[s] = std::chrono::duration<double>(in_envs).count();
}

}  // namespace

extern "C" {

void act(const Actor* a, const Draws* draws, const float* obs, char* action) {
    const long size = a->choice == REAL ? 4 * a->num_actions : 8;
    for (int s = 0; s < a->sessions; ++s) {
        const long first = long(s) * a->envs;
        Mind(*a, s).act(obs + first * a->obs_size, draws->noise + first * draws->width, draws->width, draws->level ? *draws->level : 0, action + first * size);
    }
}

void collect(const Actor* a, const Draws* draws, const Steps* c, int threads) {
    each_session(a->sessions, threads, [=](int s) { collect_session(*a, *draws, *c, s); });
}
}

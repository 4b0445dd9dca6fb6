// The whole update of PPO and A2C on a rollout, each session by itself: values, advantages, epochs of minibatches.
#include "network.hpp"

namespace {

constexpr int MOST_OUTPUTS = 64;

double mean_of(const std::vector<float>& x, const std::vector<float>& weight, double count) {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) sum += double(weight[i]) * x[i];
    return sum / count;
}

double variance_of(const std::vector<float>& x, const std::vector<float>& weight, double count) {
    const double mean = mean_of(x, weight, count);
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) sum += weight[i] * (x[i] - mean) * (x[i] - mean);
    return sum / count;
}

}  // namespace

extern "C" {

struct Update {
    int sessions, steps, envs, obs_size, outputs, epochs, minibatches, normalize_advantage, actor_layers, critic_layers;
    int choices;       // in an action, each of sizes[i]; 0 where actions are real
    int plain_policy;  // A2C's loss, whose gradient is that of PPO's with the policy that acted
    const int* sizes;
    const Layer *actor, *critic;
    const float* log_std;  // [S, outputs] for real actions
    const Optimizer* optimizer;
    float gamma, gae_lambda, clip_coef, ent_coef, vf_coef, vf_clip_coef, target_kl, norm_clip;  // negative is none
    const float *mean, *var;  // [S, obs_size] of a normaliser, or null
    const float *obs, *reward;  // [S, T + 1, N, obs_size], [T, S, N]
    const uint8_t *terminated, *truncated, *valid;
    const void* action;
    const int64_t* order;  // [epochs, S, T * N], or null for that of time
    float* metrics;        // [S, 7]
    int64_t* num_updates;  // [S]
};
}

namespace {

struct Chosen {  // what a policy's outputs say of an action
    float log_prob, entropy;
    float p[MOST_OUTPUTS], log_sum[MOST_OUTPUTS], entropies[MOST_OUTPUTS];  // for real actions 1 / std and z instead
};

struct Session {
    const Update& u;
    const int s, T, N, D, A, rows;
    Network actor, critic;
    const float* log_std;
    std::vector<float> x, value, log_prob, advantage, returns, valid;
    std::vector<float> real;
    std::vector<int64_t> taken;

    Session(const Update& update, int session)
        : u(update), s(session), T(u.steps), N(u.envs), D(u.obs_size), A(u.outputs), rows(T * N),
          actor(u.actor, u.actor_layers, s, rows / u.minibatches), critic(u.critic, u.critic_layers, s, rows / u.minibatches),
          log_std(u.log_std ? u.log_std + long(s) * u.optimizer->size : nullptr), x(size_t(rows + N) * D + W),
          value(rows + N), log_prob(rows), advantage(rows), returns(rows), valid(rows) {}

    Chosen choose(const float* o, long row) const {
        Chosen c;
        c.log_prob = c.entropy = 0.f;
        if (!u.choices) {
            const float* a = &real[row * A];
            for (int i = 0; i < A; ++i) {
                c.p[i] = std::exp(-log_std[i]);
                c.log_sum[i] = (a[i] - o[i]) * c.p[i];
                c.log_prob -= 0.5f * c.log_sum[i] * c.log_sum[i] + log_std[i] + 0.918938533204672742f;
                c.entropy += log_std[i] + 1.41893853320467274f;
            }
            return c;
        }
        const int64_t* a = &taken[row * u.choices];
        for (int k = 0, begin = 0; k < u.choices; begin += u.sizes[k++]) {
            const int end = begin + u.sizes[k];
            float top = o[begin], sum = 0.f, entropy = 0.f;
            for (int i = begin; i < end; ++i) top = o[i] > top ? o[i] : top;
            for (int i = begin; i < end; ++i) sum += c.p[i] = std::exp(o[i] - top);
            const float log_sum = top + std::log(sum);
            for (int i = begin; i < end; ++i) {
                c.p[i] /= sum;
                entropy -= c.p[i] * (o[i] - log_sum);
            }
            c.log_sum[k] = log_sum;
            c.entropies[k] = entropy;
            c.entropy += entropy;
            c.log_prob += o[begin + a[k]] - log_sum;
        }
        return c;
    }

    // Gradients of the outputs and of log_std: `g` is that of the log-probability, `bonus` the weight of the entropy.
    void spread(const Chosen& c, const float* o, long row, float g, float bonus, float* out, float* log_std_grad) const {
        if (!u.choices) {
            for (int i = 0; i < A; ++i) {
                const float z = c.log_sum[i];
                out[i] = g * z * c.p[i];
                log_std_grad[i] += g * (z * z - 1.f) - bonus;
            }
            return;
        }
        const int64_t* a = &taken[row * u.choices];
        for (int k = 0, begin = 0; k < u.choices; begin += u.sizes[k++]) {
            for (int i = begin; i < begin + u.sizes[k]; ++i) {
                out[i] = -g * c.p[i];
                if (bonus != 0.f) out[i] += bonus * c.p[i] * (o[i] - c.log_sum[k] + c.entropies[k]);
            }
            out[begin + a[k]] += g;
        }
    }

    void prepare() {
        const float* obs = u.obs + long(s) * (rows + N) * D;
        if (u.mean) {
            for (int j = 0; j < D; ++j) {
                const float mean = u.mean[long(s) * D + j], std = std::sqrt(u.var[long(s) * D + j] + 1e-8f);
                for (long r = 0; r < rows + N; ++r) {
                    const float z = (obs[r * D + j] - mean) / std;
                    x[r * D + j] = z < -u.norm_clip ? -u.norm_clip : z > u.norm_clip ? u.norm_clip : z;
                }
            }
        } else {
            std::memcpy(x.data(), obs, sizeof(float) * (rows + N) * D);
        }
        const int width = u.choices ? u.choices : A;
        if (u.choices) taken.resize(size_t(rows) * width);
        else real.resize(size_t(rows) * width);
        for (long t = 0; t < T; ++t) {
            const long from = (t * u.sessions + s) * N;
            if (u.choices) std::memcpy(&taken[t * N * width], static_cast<const int64_t*>(u.action) + from * width, 8 * N * width);
            else std::memcpy(&real[t * N * width], static_cast<const float*>(u.action) + from * width, 4 * N * width);
        }
        actor.pack();
        critic.pack();
        const int B = rows / u.minibatches;
        for (long first = 0; first < rows + N; first += B) {
            const int count = int(std::min<long>(B, rows + N - first));
            const float* v = critic.forward(&x[first * D], count);
            std::copy(v, v + count, &value[first]);
            const int acted = int(std::min<long>(count, rows - first));
            if (u.plain_policy || acted <= 0) continue;
            const float* o = actor.forward(&x[first * D], acted);
            for (int r = 0; r < acted; ++r) log_prob[first + r] = choose(o + long(r) * A, first + r).log_prob;
        }
        for (int n = 0; n < N; ++n) {
            float next = 0.f;
            for (long t = T - 1; t >= 0; --t) {
                const long from = (t * u.sessions + s) * N + n, row = t * N + n;
                const float alive = u.terminated[from] ? 0.f : 1.f, goes_on = u.terminated[from] || u.truncated[from] ? 0.f : 1.f;
                const float delta = u.reward[from] - value[row] + u.gamma * alive * value[row + N];
                advantage[row] = next = delta + goes_on * u.gamma * u.gae_lambda * next;
                returns[row] = next + value[row];
                valid[row] = u.valid[from];
            }
        }
    }

    void learn() {
        const int B = rows / u.minibatches, P = u.optimizer->size;
        const float* params = u.optimizer->params + long(s) * P;
        std::vector<float> batch(size_t(B) * D + W), grad(P + W), adv(B), weight(B);
        double metric[6] = {0, 0, 0, 0, 0, 0};
        int seen = 0;  // minibatches behind the metrics
        bool stopped = false;
        float norm = 0.f;  // the latest
        for (int epoch = 0; epoch < u.epochs && !stopped; ++epoch) {
            const int64_t* order = u.order ? u.order + (long(epoch) * u.sessions + s) * rows : nullptr;
            const bool last = epoch == u.epochs - 1;
            for (int part = 0; part < u.minibatches && !stopped; ++part) {
                auto row_of = [&](int r) { return order ? order[long(part) * B + r] : long(part) * B + r; };
                double count = 0, mean = 0, var = 0;
                for (int r = 0; r < B; ++r) {
                    const long row = row_of(r);
                    std::copy(&x[row * D], &x[row * D] + D, &batch[size_t(r) * D]);
                    adv[r] = advantage[row];
                    weight[r] = valid[row];
                    count += weight[r];
                    mean += weight[r] * adv[r];
                }
                if (u.normalize_advantage && count > 1) {
                    mean /= count;
                    for (int r = 0; r < B; ++r) var += weight[r] * (adv[r] - mean) * (adv[r] - mean);
                    const float scale = float(1.0 / (std::sqrt(var / (count - 1)) + 1e-8));
                    for (int r = 0; r < B; ++r) adv[r] = (adv[r] - float(mean)) * scale;
                }
                const float share = float(1.0 / std::max(count, 1.0));
                if (epoch || part) { actor.pack(); critic.pack(); }
                const float *out = actor.forward(batch.data(), B), *val = critic.forward(batch.data(), B);
                std::fill(grad.begin(), grad.end(), 0.f);
                double sums[6] = {0, 0, 0, 0, 0, 0};
                for (int r = 0; r < B; ++r) {
                    const long row = row_of(r);
                    const float w = weight[r] * share, *o = out + long(r) * A;
                    const Chosen c = choose(o, row);
                    const float log_ratio = u.plain_policy ? 0.f : c.log_prob - log_prob[row];
                    const float ratio = u.plain_policy ? 1.f : std::exp(log_ratio);
                    const float lo = 1.f - u.clip_coef, hi = 1.f + u.clip_coef;
                    const float cut = ratio < lo ? lo : ratio > hi ? hi : ratio;
                    const float plain = adv[r] * ratio, clipped = adv[r] * cut;
                    const bool moves = u.plain_policy || (ratio >= lo && ratio <= hi) || plain < clipped;
                    float g = moves ? -adv[r] * ratio * w : 0.f;
                    if (!(ratio == ratio)) g = ratio;
                    const float error = val[r] - returns[row];
                    float value_loss = 0.5f * error * error, value_grad = error;
                    if (u.vf_clip_coef >= 0.f) {
                        const float old = value[row], change = val[r] - old, most = u.vf_clip_coef;
                        const float bounded = change < -most ? -most : change > most ? most : change;
                        const float other = old + bounded - returns[row];
                        if (bounded != change && 0.5f * other * other > value_loss) { value_loss = 0.5f * other * other; value_grad = 0.f; }
                    }
                    critic.delta[r] = u.vf_coef * w * value_grad;
                    spread(c, o, row, g, u.ent_coef * w, &actor.delta[size_t(r) * A], &grad[log_std ? log_std - params : 0]);
                    if (last || u.target_kl >= 0.f) {
                        sums[0] -= u.plain_policy ? w * adv[r] * c.log_prob : w * (plain < clipped ? plain : clipped);
                        sums[1] += w * value_loss;
                        sums[2] += w * c.entropy;
                        sums[3] += std::fabs(ratio - 1.f) > u.clip_coef ? w : 0.f;
                        sums[4] += w * (ratio - 1.f - log_ratio);
                    }
                }
                stopped = u.target_kl >= 0.f && !(sums[4] <= 1.5 * u.target_kl);
                if (!stopped) {
                    actor.backward(params, grad.data(), batch.data(), B);
                    critic.backward(params, grad.data(), batch.data(), B);
                    norm = optimize(*u.optimizer, s, grad.data());
                    ++u.num_updates[s];
                }
                sums[5] = norm;
                if (last || stopped) {
                    for (int i = 0; i < 6; ++i) metric[i] += sums[i];
                    ++seen;
                }
            }
        }
        for (int i = 0; i < 6; ++i) u.metrics[s * 7 + i] = float(metric[i] / seen);
        double count = 0;
        for (float v : valid) count += v;
        count = std::max(count, 1.0);
        const double total = variance_of(returns, valid, count);
        // what a value does not explain of its return is the advantage
        u.metrics[s * 7 + 6] = total > 0 ? float(1.0 - variance_of(advantage, valid, count) / std::max(total, 1e-12)) : 0.f;
    }
};

}  // namespace

extern "C" void update(const Update* u, int threads) {
    each_session(u->sessions, threads, [=](int s) { Session session(*u, s); session.prepare(); session.learn(); });
}

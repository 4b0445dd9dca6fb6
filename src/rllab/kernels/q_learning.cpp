// One gradient step of deep Q-learning on a batch, each session by itself; values may be quantiles.
#include "network.hpp"

extern "C" {

struct Step {
    int sessions, batch, obs_size, actions, quantiles, dueling, double_q, squared, num_layers;
    const Layer *net, *target;
    const Optimizer* optimizer;
    const float *obs, *next_obs;  // [S, B, obs_size]
    const int64_t* action;        // [S, B]
    const float *reward, *discount, *weight;  // [S, B]; without weights all count alike
    float *metrics, *td_error;    // [S, 3], [S, B]
};
}

namespace {

// Values [A, Z] of one row of a network's outputs: with `dueling` the first Z are those of the state.
void values_of(const Step& c, const float* out, float* q) {
    const int A = c.actions, Z = c.quantiles;
    if (!c.dueling) { std::copy(out, out + A * Z, q); return; }
    for (int z = 0; z < Z; ++z) {
        float mean = 0.f;
        for (int a = 0; a < A; ++a) mean += out[(1 + a) * Z + z];
        mean /= A;
        for (int a = 0; a < A; ++a) q[a * Z + z] = out[z] + out[(1 + a) * Z + z] - mean;
    }
}

int best_of(const Step& c, const float* q) {  // by the mean of its quantiles
    return largest(c.actions, [&](int a) {
        float sum = 0.f;
        for (int z = 0; z < c.quantiles; ++z) sum += q[a * c.quantiles + z];
        return sum / c.quantiles;
    });
}

inline float clamped(float x) { return x < -1.f ? -1.f : x > 1.f ? 1.f : x; }

void session(const Step& c, int s) {
    const int B = c.batch, A = c.actions, Z = c.quantiles, width = (A + c.dueling) * Z, P = c.optimizer->size;
    const float* params = c.optimizer->params + long(s) * P;
    Network net(c.net, c.num_layers, s, B), target(c.target, c.num_layers, s, B);
    net.pack();
    target.pack();
    const float *obs = c.obs + long(s) * B * c.obs_size, *next_obs = c.next_obs + long(s) * B * c.obs_size;
    std::vector<float> goal(size_t(B) * Z), q(A * Z), choosing(A * Z), d(Z), grad(P + W, 0.f);
    const float *next = target.forward(next_obs, B), *online = c.double_q ? net.forward(next_obs, B) : nullptr;
    for (int b = 0; b < B; ++b) {
        const long row = long(s) * B + b;
        values_of(c, next + long(b) * width, q.data());
        if (online) values_of(c, online + long(b) * width, choosing.data());
        const int best = best_of(c, online ? choosing.data() : q.data());
        for (int z = 0; z < Z; ++z) goal[size_t(b) * Z + z] = c.reward[row] + c.discount[row] * q[best * Z + z];
    }
    const float* out = net.forward(obs, B);
    std::fill(net.delta.begin(), net.delta.end(), 0.f);
    double loss = 0, mean_q = 0;
    for (int b = 0; b < B; ++b) {
        const long row = long(s) * B + b;
        const int taken = int(c.action[row]);
        const float weight = (c.weight ? c.weight[row] : 1.f) / B;
        const float* goals = &goal[size_t(b) * Z];
        values_of(c, out + long(b) * width, q.data());
        float lost = 0.f, error = 0.f;
        for (int z = 0; z < Z; ++z) {
            const float value = q[taken * Z + z];
            mean_q += value;
            if (Z == 1) {
                error = value - goals[0];
                const float inside = c.squared ? error : clamped(error);
                lost = inside * (error - 0.5f * inside);
                d[0] = inside;
                continue;
            }
            const float midpoint = (z + 0.5f) / Z;
            float sum = 0.f, slope = 0.f;
            for (int j = 0; j < Z; ++j) {
                const float e = value - goals[j], inside = clamped(e);
                const float share = std::fabs(midpoint - (e > 0.f ? 1.f : 0.f));
                sum += share * inside * (e - 0.5f * inside);
                slope += share * inside;
            }
            lost += sum / Z;
            d[z] = slope / Z;
        }
        if (Z == 1) c.td_error[row] = error;
        loss += weight * lost;
        float* delta = &net.delta[size_t(b) * width];
        for (int z = 0; z < Z; ++z) {
            const float g = weight * d[z];
            if (c.dueling) {
                delta[z] = g;
                for (int a = 0; a < A; ++a) delta[(1 + a) * Z + z] = -g / A;
            }
            delta[(c.dueling + taken) * Z + z] += g;
        }
    }
    net.backward(params, grad.data(), obs, B);
    c.metrics[s * 3] = float(loss);
    c.metrics[s * 3 + 1] = float(mean_q / (double(B) * Z));
    c.metrics[s * 3 + 2] = optimize(*c.optimizer, s, grad.data());
}

}  // namespace

extern "C" void gradient_step(const Step* c, int threads) {
    each_session(c->sessions, threads, [=](int s) { session(*c, s); });
}

// One PPO update of S sessions, each by itself: forward, backward, clipping and Adam on plain arrays.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace {

constexpr int W = 16;                                              // floats of a vector
typedef float Vec __attribute__((vector_size(4 * W), aligned(4)));  // as wide as AVX-512; narrower ones are used in parts

inline Vec load(const float* p) { return *reinterpret_cast<const Vec*>(p); }
inline void store(float* p, Vec x) { *reinterpret_cast<Vec*>(p) = x; }

// C[m, n] = (bias[n] or 0) + sum over k of A[m * am + k * ak] * B[k * ldb + n], for MR rows and NR vectors of columns
template <int MR, int NR>
inline void tile(int K, const float* A, long am, long ak, const float* B, long ldb, float* C, long ldc, const float* bias) {
    Vec acc[MR][NR];
    for (int j = 0; j < NR; ++j) {
        Vec start = bias ? load(bias + j * W) : Vec{};
        for (int i = 0; i < MR; ++i) acc[i][j] = start;
    }
    for (int k = 0; k < K; ++k) {
        Vec b[NR];
        for (int j = 0; j < NR; ++j) b[j] = load(B + k * ldb + j * W);
        for (int i = 0; i < MR; ++i) {
            float a = A[i * am + k * ak];
            for (int j = 0; j < NR; ++j) acc[i][j] += a * b[j];
        }
    }
    for (int i = 0; i < MR; ++i)
        for (int j = 0; j < NR; ++j) store(C + i * ldc + j * W, acc[i][j]);
}

template <int NR>
void columns(int M, int K, const float* A, long am, long ak, const float* B, long ldb, float* C, long ldc, const float* bias) {
    int m = 0;
    for (; m + 8 <= M; m += 8) tile<8, NR>(K, A + m * am, am, ak, B, ldb, C + m * ldc, ldc, bias);
    for (; m + 4 <= M; m += 4) tile<4, NR>(K, A + m * am, am, ak, B, ldb, C + m * ldc, ldc, bias);
    for (; m < M; ++m) tile<1, NR>(K, A + m * am, am, ak, B, ldb, C + m * ldc, ldc, bias);
}

void gemm(int M, int N, int K, const float* A, long am, long ak, const float* B, long ldb, float* C, long ldc, const float* bias) {
    int n = 0;
    for (; n + 2 * W <= N; n += 2 * W) columns<2>(M, K, A, am, ak, B + n, ldb, C + n, ldc, bias ? bias + n : nullptr);
    for (; n + W <= N; n += W) columns<1>(M, K, A, am, ak, B + n, ldb, C + n, ldc, bias ? bias + n : nullptr);
    for (; n < N; ++n)
        for (int m = 0; m < M; ++m) {
            float sum = bias ? bias[n] : 0.f;
            for (int k = 0; k < K; ++k) sum += A[m * am + k * ak] * B[k * ldb + n];
            C[m * ldc + n] = sum;
        }
}

float dot(const float* a, const float* b, int n) {
    Vec acc{};
    int i = 0;
    for (; i + W <= n; i += W) acc += load(a + i) * load(b + i);
    float sum = 0.f;
    for (int j = 0; j < W; ++j) sum += acc[j];
    for (; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

inline Vec tanh_of(Vec x) {  // rational approximation, 4e-7 of absolute error; nan stays nan
    Vec hi = x > 7.90531110763549805f ? Vec{} + 7.90531110763549805f : x;
    x = hi < -7.90531110763549805f ? Vec{} - 7.90531110763549805f : hi;
    Vec x2 = x * x;
    Vec p = x2 * -2.76076847742355e-16f + 2.00018790482477e-13f;
    p = x2 * p + -8.60467152213735e-11f;
    p = x2 * p + 5.12229709037114e-08f;
    p = x2 * p + 1.48572235717979e-05f;
    p = x2 * p + 6.37261928875436e-04f;
    p = x2 * p + 4.89352455891786e-03f;
    Vec q = x2 * 1.19825839466702e-06f + 1.18534705686654e-04f;
    q = x2 * q + 2.26843463243900e-03f;
    q = x2 * q + 4.89352518554385e-03f;
    return x * p / q;
}

struct Layer { int in, out; long weight, bias; };

struct Network {  // an MLP whose layers are all activated but the last
    std::vector<Layer> layers;
    bool relu;
    std::vector<std::vector<float>> hidden;  // activations [rows, out]
    std::vector<float> packed, delta, delta_before, small;

    void reserve(int rows) {
        int widest = 1, largest = 1;
        for (auto& l : layers) { widest = std::max({widest, l.in, l.out}); largest = std::max(largest, l.in * l.out); }
        hidden.assign(layers.size(), std::vector<float>());
        for (size_t i = 0; i < layers.size(); ++i) hidden[i].resize(size_t(rows) * layers[i].out + W);
        packed.resize(largest + W); small.resize(largest + W);
        delta.resize(size_t(rows) * widest + W); delta_before.resize(size_t(rows) * widest + W);
    }

    const float* forward(const float* params, const float* x, int rows) {
        for (size_t i = 0; i < layers.size(); ++i) {
            const Layer& l = layers[i];
            const float *w = params + l.weight, *b = params + l.bias;
            float* y = hidden[i].data();
            if (l.out < W) {
                for (int r = 0; r < rows; ++r)
                    for (int o = 0; o < l.out; ++o) y[r * l.out + o] = b[o] + dot(x + long(r) * l.in, w + long(o) * l.in, l.in);
            } else {
                for (int o = 0; o < l.out; ++o)
                    for (int k = 0; k < l.in; ++k) packed[k * l.out + o] = w[o * l.in + k];
                gemm(rows, l.out, l.in, x, l.in, 1, packed.data(), l.out, y, l.out, b);
            }
            if (i + 1 < layers.size()) activate(y, long(rows) * l.out);
            x = y;
        }
        return x;
    }

    void activate(float* y, long n) {
        long i = 0;
        if (relu) { for (; i < n; ++i) y[i] = y[i] < 0.f ? 0.f : y[i]; return; }
        for (; i < n; i += W) store(y + i, tanh_of(load(y + i)));  // rooms are a vector longer than what they hold
    }

    // gradients of all parameters, given those of the outputs in `delta`, which is used up
    void backward(const float* params, float* grad, const float* x, int rows) {
        for (int i = int(layers.size()) - 1; i >= 0; --i) {
            const Layer& l = layers[i];
            const float* input = i ? hidden[i - 1].data() : x;
            float *d = delta.data(), *gw = grad + l.weight, *gb = grad + l.bias;
            for (int o = 0; o < l.out; ++o) gb[o] = 0.f;
            for (int r = 0; r < rows; ++r)
                for (int o = 0; o < l.out; ++o) gb[o] += d[long(r) * l.out + o];
            if (l.in >= W) {
                gemm(l.out, l.in, rows, d, 1, l.out, input, l.in, gw, l.in, nullptr);
            } else {
                gemm(l.in, l.out, rows, input, 1, l.in, d, l.out, small.data(), l.out, nullptr);
                for (int o = 0; o < l.out; ++o)
                    for (int k = 0; k < l.in; ++k) gw[o * l.in + k] = small[k * l.out + o];
            }
            if (!i) break;
            gemm(rows, l.in, l.out, d, l.out, 1, params + l.weight, l.in, delta_before.data(), l.in, nullptr);
            float* before = delta_before.data();
            long n = long(rows) * l.in;
            if (relu) { for (long j = 0; j < n; ++j) before[j] = input[j] > 0.f ? before[j] : 0.f; }
            else { for (long j = 0; j < n; ++j) before[j] *= 1.f - input[j] * input[j]; }
            std::swap(delta, delta_before);
        }
    }
};

}  // namespace

extern "C" {

struct PPO {
    int sessions, rows, obs_size, num_actions, num_params, epochs, minibatches, continuous, normalize_advantage, relu, layers;
    long log_std;  // where it begins, for continuous actions
    float clip_coef, ent_coef, vf_coef, vf_clip_coef, max_grad_norm, lr, beta1, beta2, eps;
    const int* sizes;       // of each network: [2, layers + 1]
    const long* offsets;    // of weight and bias: [2, layers, 2]
    float *params, *exp_avg, *exp_avg_sq, *steps;
    const float *obs, *log_prob, *value, *advantage, *returns, *valid;
    const void* action;
    const int64_t* order;   // [epochs, S, rows]
    float* metrics;         // [S, 6]
};

static void session(const PPO& c, int s) {
    const int B = c.rows / c.minibatches, A = c.num_actions, P = c.num_params;
    Network nets[2];
    for (int n = 0; n < 2; ++n) {
        nets[n].relu = c.relu;
        for (int i = 0; i < c.layers; ++i) {
            const int* size = c.sizes + n * (c.layers + 1) + i;
            const long* at = c.offsets + (n * c.layers + i) * 2;
            nets[n].layers.push_back({size[0], size[1], at[0], at[1]});
        }
        nets[n].reserve(B);
    }
    float *params = c.params + long(s) * P, *m = c.exp_avg + long(s) * P, *v = c.exp_avg_sq + long(s) * P;
    std::vector<float> x(size_t(B) * c.obs_size + W), grad(P + W), adv(B), weight(B);
    const long base = long(s) * c.rows;
    double metric[6] = {0, 0, 0, 0, 0, 0};
    for (int epoch = 0; epoch < c.epochs; ++epoch) {
        const int64_t* order = c.order + (long(epoch) * c.sessions + s) * c.rows;
        for (int part = 0; part < c.minibatches; ++part) {
            const int64_t* rows = order + long(part) * B;
            double count = 0, mean = 0, var = 0;
            for (int r = 0; r < B; ++r) {
                std::memcpy(&x[size_t(r) * c.obs_size], c.obs + (base + rows[r]) * c.obs_size, sizeof(float) * c.obs_size);
                adv[r] = c.advantage[base + rows[r]];
                weight[r] = c.valid[base + rows[r]];
                count += weight[r];
                mean += weight[r] * adv[r];
            }
            if (c.normalize_advantage && count > 1) {
                mean /= count;
                for (int r = 0; r < B; ++r) var += weight[r] * (adv[r] - mean) * (adv[r] - mean);
                float scale = float(1.0 / (std::sqrt(var / (count - 1)) + 1e-8));
                for (int r = 0; r < B; ++r) adv[r] = (adv[r] - float(mean)) * scale;
            }
            const float share = float(1.0 / std::max(count, 1.0));
            const float* out = nets[0].forward(params, x.data(), B);
            const float* val = nets[1].forward(params, x.data(), B);
            float *dout = nets[0].delta.data(), *dval = nets[1].delta.data();
            std::fill(grad.begin(), grad.end(), 0.f);
            const bool last = epoch == c.epochs - 1;
            double sums[5] = {0, 0, 0, 0, 0};
            for (int r = 0; r < B; ++r) {
                const long row = base + rows[r];
                const float w = weight[r] * share, *o = out + long(r) * A;
                float log_prob, entropy = 0.f, p[64], z[64];
                int taken = 0;
                if (c.continuous) {
                    const float *a = static_cast<const float*>(c.action) + row * A, *log_std = params + c.log_std;
                    log_prob = 0.f;
                    for (int i = 0; i < A; ++i) {
                        p[i] = std::exp(-log_std[i]);
                        z[i] = (a[i] - o[i]) * p[i];
                        log_prob -= 0.5f * z[i] * z[i] + log_std[i] + 0.918938533204672742f;
                        entropy += log_std[i] + 1.41893853320467274f;
                    }
                } else {
                    taken = int(static_cast<const int64_t*>(c.action)[row]);
                    float top = o[0], sum = 0.f;
                    for (int i = 1; i < A; ++i) top = o[i] > top ? o[i] : top;
                    for (int i = 0; i < A; ++i) { p[i] = std::exp(o[i] - top); sum += p[i]; }
                    const float log_sum = top + std::log(sum);
                    for (int i = 0; i < A; ++i) { p[i] /= sum; entropy -= p[i] * (o[i] - log_sum); }
                    log_prob = o[taken] - log_sum;
                    z[0] = log_sum;
                }
                const float log_ratio = log_prob - c.log_prob[row], ratio = std::exp(log_ratio);
                const float lo = 1.f - c.clip_coef, hi = 1.f + c.clip_coef;
                const float cut = ratio < lo ? lo : ratio > hi ? hi : ratio;
                const float plain = adv[r] * ratio, clipped = adv[r] * cut;
                const bool moves = (ratio >= lo && ratio <= hi) || plain < clipped;
                float g = moves ? -adv[r] * ratio * w : 0.f;
                if (!(ratio == ratio)) g = ratio;
                const float error = val[r] - c.returns[row];
                float value_loss = 0.5f * error * error, dv = error;
                if (c.vf_clip_coef >= 0.f) {
                    const float old = c.value[row], change = val[r] - old;
                    const float bounded = change < -c.vf_clip_coef ? -c.vf_clip_coef : change > c.vf_clip_coef ? c.vf_clip_coef : change;
                    const float other = old + bounded - c.returns[row];
                    if (bounded != change && 0.5f * other * other > value_loss) { value_loss = 0.5f * other * other; dv = 0.f; }
                }
                dval[r] = c.vf_coef * w * dv;
                if (c.continuous) {
                    float* dls = grad.data() + c.log_std;
                    for (int i = 0; i < A; ++i) {
                        dout[long(r) * A + i] = g * z[i] * p[i];
                        dls[i] += g * (z[i] * z[i] - 1.f) - c.ent_coef * w;
                    }
                } else {
                    for (int i = 0; i < A; ++i) {
                        float d = -g * p[i];
                        if (c.ent_coef != 0.f) d += c.ent_coef * w * p[i] * (o[i] - z[0] + entropy);
                        dout[long(r) * A + i] = d;
                    }
                    dout[long(r) * A + taken] += g;
                }
                if (last) {
                    sums[0] -= w * (plain < clipped ? plain : clipped);
                    sums[1] += w * value_loss;
                    sums[2] += w * entropy;
                    sums[3] += std::fabs(ratio - 1.f) > c.clip_coef ? w : 0.f;
                    sums[4] += w * (ratio - 1.f - log_ratio);
                }
            }
            nets[0].backward(params, grad.data(), x.data(), B);
            nets[1].backward(params, grad.data(), x.data(), B);
            const float norm = std::sqrt(dot(grad.data(), grad.data(), P));
            const float scale = 1.f / std::max(norm / c.max_grad_norm, 1.f);
            const float step = c.steps[s] += 1.f;
            const double bias1 = 1.0 - std::pow(double(c.beta1), step), bias2 = 1.0 - std::pow(double(c.beta2), step);
            const float size = float(c.lr / bias1), root = float(std::sqrt(bias2));
            for (int i = 0; i < P; ++i) {
                const float g = grad[i] * scale;
                m[i] += (g - m[i]) * (1.f - c.beta1);
                v[i] = c.beta2 * v[i] + (1.f - c.beta2) * g * g;
                params[i] -= size * m[i] / (std::sqrt(v[i]) / root + c.eps);
            }
            if (last) { for (int i = 0; i < 5; ++i) metric[i] += sums[i]; metric[5] += norm; }
        }
    }
    for (int i = 0; i < 6; ++i) c.metrics[s * 6 + i] = float(metric[i] / c.minibatches);
}

void ppo_update(const PPO* c, int threads) {
    std::vector<std::thread> team;
    for (int t = 1; t < threads; ++t)
        team.emplace_back([=] { for (int s = t; s < c->sessions; s += threads) session(*c, s); });
    for (int s = 0; s < c->sessions; s += threads) session(*c, s);
    for (auto& each : team) each.join();
}
}
